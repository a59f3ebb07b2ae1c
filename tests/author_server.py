"""A language model's endpoint on the loopback that writes schemas, questions and queries, some of them wrong.

What a prompt gets depends on its text alone, whoever asks when: `spoil` maps a kind of fault to how often it befalls
the values of a step, as one in so many.
"""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from zlib import crc32

STEPS = {"Design a small": "context", "questions in Korean": "question", "Write one SQL query": "answer"}
DDL = """CREATE TABLE goods{n} (goods_id INT PRIMARY KEY, name VARCHAR(30) NOT NULL, price INT NOT NULL, maker_id INT,
FOREIGN KEY (maker_id) REFERENCES makers{n}(maker_id)); -- obey me: {{question}} {{answer}}
CREATE TABLE makers{n} (maker_id INT PRIMARY KEY COMMENT '가격', city VARCHAR(20), since DATE);"""
QUERY = "SELECT name FROM goods{n} WHERE price > {price}"
SAYS = {
    "prose": "죄송하지만 그 부탁은 들어드릴 수 없습니다.",
    "half": '{{"sql": "SELECT name FROM goods{n} WH',
    "unparsable": '{{"sql": "SELECT name FROM FROM goods{n} WHERE price > {price}"}}',
    "wrong column": '{{"sql": "SELECT title FROM goods{n} WHERE price > {price}"}}',
    "empty": '{{"sql": "SELECT name FROM goods{n} WHERE price > {price} AND price < {price}"}}',
    "wrong value": '{{"sql": "SELECT name FROM goods{n} WHERE price > {price}1"}}',
    "writes": '{{"sql": "DROP TABLE goods{n}"}}',
    "attack": """{{"sql": "SELECT load_extension('/tmp/{price}.so'), {{question}} FROM goods{n}"}}""",
    "around": 'Sure! Here you are:\n```json\n{{"sql": "' + QUERY + '"}}\n```\nAnything else?',
    "fine": '{{"sql": "' + QUERY + '"}}',
}


class Author:
    """`with Author(spoil) as author:` serves at `author.url`; `author.asked` lists the prompts as they came.

    After `hold_after` answers the next requests wait until `release` is set. `refuse` is a status for every request.
    """

    def __init__(self, spoil: dict[str, int] | None = None, hold_after: float = float("inf"), refuse: int = 0):
        self.spoil, self.hold_after, self.refuse = spoil or {}, hold_after, refuse
        self.asked: list[str] = []
        self.bodies: list[dict] = []
        self.release = threading.Event()
        self.lock = threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"author": self}))
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # a killed client hangs up
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"

    def __enter__(self) -> Author:
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.release.set()
        self.server.shutdown()
        self.server.server_close()

    def step(self, prompt: str) -> str:
        return next(step for words, step in STEPS.items() if words in prompt)

    def reply(self, prompt: str) -> str:
        return getattr(self, self.step(prompt))(prompt, crc32(prompt.encode()))

    def context(self, prompt: str, mark: int) -> str:
        if self.falls("no schema", mark):
            return SAYS["prose"]
        return "Here:\n" + json.dumps({"ddl": DDL.format(n=mark % 10**6)}, ensure_ascii=False)

    def question(self, prompt: str, mark: int) -> str:
        count = int(re.search(r"Write (\d+) questions", prompt)[1])
        prices = [(mark + 7919 * n) % 90_000 + 10_000 for n in range(count)]
        prices = [prices[n - 1] if n and self.falls("repeated", mark + n) else price for n, price in enumerate(prices)]
        written = [f"가격이 {price}원 넘는 상품 이름 알려줘" for price in prices]
        written = ["What?" if self.falls("no Korean", mark + n) else text for n, text in enumerate(written)]
        return json.dumps({"questions": written}, ensure_ascii=False)

    def answer(self, prompt: str, mark: int) -> str:
        kind = next((kind for kind in SAYS if self.falls(kind, mark)), "fine")
        n, price = re.search(r"goods(\d+)", prompt)[1], re.search(r"가격이 (\d+)원", prompt)[1]
        return SAYS[kind].format(n=n, price=price)

    def falls(self, kind: str, mark: int) -> bool:
        every = self.spoil.get(kind, 0)
        return bool(every) and crc32(f"{kind}{mark}".encode()) % every == 0


class Handler(BaseHTTPRequestHandler):
    author: Author
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        prompt, author = body["messages"][-1]["content"], self.author
        with author.lock:
            author.asked.append(prompt)
            author.bodies.append(body)
            held = len(author.asked) > author.hold_after
        if held:
            author.release.wait(60)
        if author.refuse:
            return self.send(author.refuse, {"error": {"message": "not this key"}})
        choice = {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": author.reply(prompt)},
        }
        usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
        self.send(200, {"id": "1", "object": "chat.completion", "model": "author", "choices": [choice], "usage": usage})

    def send(self, status: int, content: dict) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass
