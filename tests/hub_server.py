"""A Hub on the loopback: what huggingface_hub 0.36 needs to create a repo and commit a folder to it, and no more.

It keeps what arrives in memory, refuses content whose size or SHA-256 is not what was announced, and serves the files
back. The protocol as read in huggingface_hub's source: POST /api/repos/create, POST /api/validate-yaml,
GET /api/models/REPO[/revision/main], POST /api/models/REPO/preupload/main, POST /REPO.git/info/lfs/objects/batch,
PUT of each large file, POST of its verification, POST /api/models/REPO/commit/main (JSON lines),
GET /REPO/resolve/main/FILE. Of a data set the same under /api/datasets/ and /datasets/REPO; it is kept as datasets/REPO.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

import yaml


@dataclass
class Repo:
    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    lfs: set[str] = field(default_factory=set)
    commits: list[str] = field(default_factory=list)


class HubServer:
    """`with HubServer(token="hf_…") as hub:` serves at `hub.url`; `hub.repos` holds what was pushed.

    `refuse` maps a part of a path to the HTTP status with which requests to it are refused.
    """

    def __init__(self, token: str, refuse: dict[str, int] | None = None):
        self.token, self.refuse = token, refuse or {}
        self.repos: dict[str, Repo] = {}
        self.objects: dict[str, bytes] = {}
        self.announced: dict[str, int] = {}
        self.requests: list[str] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"hub": self}))
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> HubServer:
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.server.shutdown()
        self.server.server_close()


class Refused(Exception):
    def __init__(self, status: int, message: str, more: dict | None = None):
        super().__init__(message)
        self.status, self.body = status, {"error": message, **(more or {})}


class Handler(BaseHTTPRequestHandler):
    hub: HubServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.answer()

    def do_PUT(self) -> None:
        self.answer()

    def log_message(self, *args: object) -> None:
        pass

    def answer(self) -> None:
        # Read first: a refused request's body would else be taken for the next request.
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.hub.requests.append(f"{self.command} {self.path}")
        try:
            status, content = 200, self.route(body)
        except Refused as error:
            status, content = error.status, error.body
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def route(self, body: bytes) -> dict | bytes:
        path = self.path.partition("?")[0]
        for part, status in self.hub.refuse.items():
            if part in path:
                raise Refused(status, "refused by the test")
        # As on the Hub, the upload address itself is signed and asks for no token.
        if not path.startswith("/upload/") and self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            raise Refused(401, "Invalid username or password.")
        for method, pattern, action in ROUTES:
            if method == self.command and (match := re.fullmatch(pattern, path)):
                return action(self, body, **match.groupdict())
        raise Refused(404, f"no {self.command} {path}")

    def repo(self, repo: str) -> Repo:
        if repo not in self.hub.repos:
            raise Refused(404, "Repository not found")
        return self.hub.repos[repo]

    def create(self, body: bytes) -> dict:
        wanted = json.loads(body)
        name = ("datasets/" if wanted.get("type") == "dataset" else "") + f"{wanted['organization']}/{wanted['name']}"
        url = f"{self.hub.url}/{name}"
        if name in self.hub.repos:
            raise Refused(409, "You already created this model repo", {"url": url})
        self.hub.repos[name] = Repo(private=wanted.get("private", False))
        return {"url": url}

    def validate(self, body: bytes) -> dict:
        front = re.match(r"---\n(.*?)\n---\n", json.loads(body)["content"], re.DOTALL)
        if not front or not isinstance(yaml.safe_load(front[1]), dict):
            raise Refused(400, "no metadata")
        return {"errors": [], "warnings": []}

    def info(self, body: bytes, repo: str) -> dict:
        found = self.repo(repo)
        return {"id": repo, "private": found.private, "sha": f"{len(found.commits):040d}", "siblings": []}

    def preupload(self, body: bytes, repo: str) -> dict:
        found, answers = self.repo(repo), []
        for file in json.loads(body)["files"]:
            path, lfs = file["path"], file["path"].endswith(LARGE)
            answer = {"path": path, "uploadMode": "lfs" if lfs else "regular", "shouldIgnore": False}
            if path in found.files:
                answer["oid"] = content_id(found.files[path], lfs)
            answers.append(answer)
        return {"files": answers}

    def batch(self, body: bytes, repo: str) -> dict:
        self.repo(repo)
        wanted = json.loads(body)
        if wanted["operation"] != "upload" or "basic" not in wanted["transfers"]:
            raise Refused(422, "only basic uploads")
        objects = []
        for item in wanted["objects"]:
            answer = {"oid": item["oid"], "size": item["size"]}
            if item["oid"] not in self.hub.objects:
                self.hub.announced[item["oid"]] = item["size"]
                answer["actions"] = {
                    "upload": {"href": f"{self.hub.url}/upload/{item['oid']}"},
                    "verify": {"href": f"{self.hub.url}/verify/{item['oid']}"},
                }
            objects.append(answer)
        return {"transfer": "basic", "objects": objects}

    def put(self, body: bytes, oid: str) -> dict:
        if self.hub.announced.get(oid) != len(body) or hashlib.sha256(body).hexdigest() != oid:
            raise Refused(400, "content is not what was announced")
        self.hub.objects[oid] = body
        return {}

    def verify(self, body: bytes, oid: str) -> dict:
        item = json.loads(body)
        if item["oid"] != oid or len(self.hub.objects.get(oid, b"")) != item["size"]:
            raise Refused(404, "nothing was uploaded")
        return {}

    def commit(self, body: bytes, repo: str) -> dict:
        found, files, lfs, summary = self.repo(repo), {}, set(), None
        for line in body.splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "header":
                summary = value["summary"]
            elif item["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"], validate=True)
            elif item["key"] == "lfsFile":
                content = self.hub.objects.get(value["oid"])
                if content is None or len(content) != value["size"]:
                    raise Refused(400, f"{value['path']}: its content never arrived")
                files[value["path"]] = content
                lfs.add(value["path"])
            else:
                raise Refused(400, f"unknown operation {item['key']}")
        if not summary:
            raise Refused(400, "a commit needs a summary")
        found.files |= files
        found.lfs |= lfs
        found.commits.append(summary)
        oid = f"{len(found.commits):040d}"
        return {"success": True, "commitOid": oid, "commitUrl": f"{self.hub.url}/{repo}/commit/{oid}"}

    def resolve(self, body: bytes, repo: str, file: str) -> bytes:
        if file not in self.repo(repo).files:
            raise Refused(404, "Entry not found")
        return self.repo(repo).files[file]


def content_id(content: bytes, lfs: bool) -> str:
    """The id by which huggingface_hub sees that a file is unchanged: SHA-256 of large files, git's SHA-1 of others."""
    if lfs:
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


LARGE = (".safetensors", ".parquet", ".png")
# huggingface_hub names a data set datasets/USER/NAME in every address but the API's, which has models/ for a model.
NAME = r"(?P<repo>(datasets/)?[\w.-]+/[\w.-]+)"
API = r"/api/(?:models/|(?=datasets/))(?P<repo>(datasets/)?[\w.-]+/[\w.-]+)"
ROUTES = [
    ("POST", "/api/repos/create", Handler.create),
    ("POST", "/api/validate-yaml", Handler.validate),
    ("GET", f"{API}(/revision/main)?", Handler.info),
    ("POST", f"{API}/preupload/main", Handler.preupload),
    ("POST", rf"/{NAME}\.git/info/lfs/objects/batch", Handler.batch),
    ("PUT", "/upload/(?P<oid>[0-9a-f]{64})", Handler.put),
    ("POST", "/verify/(?P<oid>[0-9a-f]{64})", Handler.verify),
    ("POST", f"{API}/commit/main", Handler.commit),
    ("GET", f"/{NAME}/resolve/main/(?P<file>.+)", Handler.resolve),
]
