"""`judge batch` against the Batch API of `judge serve`: real HTTP, real kills."""

import json
import os
import signal
import threading
from collections import Counter
from contextlib import contextmanager

import openai
import pytest
from fake_judge import answering, command, lines_of, started
from judge.batch import fetch, folder_of, state_path, status, submit, summary
from judge.batch.client import connect, download
from judge.batch.files import read_items
from judge.cli import main
from judge.evaluation import requests_for_rows
from judge.parallel import failed_path, run_requests
from judge.serve import make_app, running_server
from judge.text import UserError, write_jsonl
from starlette.responses import JSONResponse

ROW = {
    "context": "CREATE TABLE t (a INT);",
    "question": "몇 개?",
    "answer": "SELECT a FROM t",
    "gen_sql": "SELECT a FROM t",
}
SPELLED = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "JUDGE_BASE_URL")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in SPELLED:
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def write(path, count, **more):
    """`count` requests whose ids are 0, 1, 2, …"""
    rows = [ROW | {"id": i, "question": f"{i}번?"} for i in range(count)]
    return write_jsonl(path, [request | more for request in requests_for_rows(rows)])


def yes(data):
    return "yes", "same"


class Watched:
    """The server's application, its calls written down; `at(call, when)` is asked before and after each is done."""

    def __init__(self, **options):
        self.app = make_app(**{"answer": yes} | options)
        self.state, self.calls, self.at = self.app.state, Counter(), lambda call, when: None

    async def __call__(self, scope, receive, send):
        call = f"{scope['method']} {scope['path'].rsplit('/', 1)[-1]}"
        self.calls[call] += 1
        self.at(call, "before")

        async def done(message):
            self.at(call, "after")
            await send(message)

        await self.app(scope, receive, done)


@contextmanager
def provider(**options):
    watched = Watched(**options)
    with running_server(watched) as watched.url:
        yield watched


def ids(path):
    return [metadata["id"] for _, _, metadata in lines_of(path)]


def test_the_openai_client_finds_files_and_batches_as_it_expects_them(here):
    line = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions"}
    line["body"] = {k: v for k, v in requests_for_rows([ROW | {"id": 1}])[0].items() if k != "metadata"}
    data = json.dumps(line).encode() + b"\r\n--not the end\r\n"
    with running_server(answer=yes) as url, openai.OpenAI(api_key="x", base_url=url, max_retries=0) as client:
        file = client.files.create(file=("in.jsonl", data), purpose="batch")
        assert (file.filename, file.bytes, client.files.content(file.id).read()) == ("in.jsonl", len(data), data)
        bad = client.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"of": "me"}
        )
        good = client.files.create(file=("good.jsonl", json.dumps(line).encode()), purpose="batch")
        batch = client.batches.create(input_file_id=good.id, endpoint="/v1/chat/completions", completion_window="24h")
        for _ in range(500):
            bad, batch = client.batches.retrieve(bad.id), client.batches.retrieve(batch.id)
            if bad.status == "failed" and batch.status == "completed":
                break
        assert (bad.errors.data[0].code, bad.errors.data[0].line) == ("invalid_json_line", 2)
        assert (batch.request_counts.completed, batch.request_counts.total, batch.error_file_id) == (1, 1, None)
        [answer] = client.files.content(batch.output_file_id).text.splitlines()
        assert json.loads(answer)["custom_id"] == "a"
        assert {b.id: b.metadata for b in client.batches.list(limit=1)} == {batch.id: None, bad.id: {"of": "me"}}
        assert [f.id for f in client.files.list(purpose="batch")] == [good.id, file.id]
        assert client.files.delete(file.id).deleted
        with pytest.raises(openai.NotFoundError):
            client.files.retrieve(file.id)
        with pytest.raises(openai.ConflictError):
            client.batches.cancel(batch.id)


def test_the_results_are_those_of_judge_run_in_the_order_of_the_requests(here):
    path = write(here / "r.jsonl", 7)
    with provider() as server:
        submit(path, here / "batch.jsonl", base_url=server.url, most_requests=3)
        assert server.calls["POST batches"] == 3
        progress = fetch(here / "batch.jsonl", wait=True, poll=0.02)
        run_requests(path, here / "run.jsonl", base_url=server.url)
    assert (progress.done, progress.answered, progress.failed) == (True, 7, 0)

    def told_apart(path):
        lines = lines_of(path)
        for _, response, _ in lines:
            del response["id"], response["created"]
        return lines

    assert told_apart(here / "batch.jsonl") == told_apart(here / "run.jsonl")
    assert sorted(p.name for p in here.iterdir() if p.name.startswith("batch")) == ["batch.batch.json", "batch.jsonl"]


@pytest.mark.parametrize(
    ("limits", "more", "batches"),
    [
        ({}, {}, 1),
        ({"most_requests": 4}, {}, 3),
        ({"most_requests": 1}, {}, 10),
        ({"most_bytes": 6_000}, {}, 5),  # each line is somewhat longer than 2,000
        ({}, {"two models": True}, 2),
    ],
)
def test_a_file_is_cut_at_the_limits_and_by_model(here, limits, more, batches):
    lines = requests_for_rows([ROW | {"id": i} for i in range(10)])
    if more:
        lines = [line | {"model": f"m{i % 2}"} for i, line in enumerate(lines)]
    path = write_jsonl(here / "r.jsonl", lines)
    with provider() as server:
        made = submit(path, here / "out.jsonl", base_url=server.url, **limits)
        assert len(made.parts) == batches and sum(part["requests"] for part in made.parts) == 10
        assert all(part["bytes"] <= limits.get("most_bytes", 1e9) for part in made.parts)
        fetch(here / "out.jsonl", wait=True, poll=0.02)
    assert ids(here / "out.jsonl") == list(range(10))


def test_what_failed_is_asked_again_and_what_cannot_succeed_is_not(here):
    lines = requests_for_rows([ROW | {"id": i, "question": f"q{i}"} for i in range(30)])
    lines[4]["messages"] = [{"role": "user", "content": "hello"}]
    path = write_jsonl(here / "r.jsonl", lines)
    with provider(faults=["500:0.4"], seed=5) as server:
        submit(path, here / "out.jsonl", base_url=server.url)
        progress = fetch(here / "out.jsonl", wait=True, poll=0.02, retries=20)
        rounds = server.calls["POST batches"]
    assert (progress.answered, progress.failed) == (29, 1) and 2 <= rounds <= 12
    assert ids(here / "out.jsonl") == [i for i in range(30) if i != 4]
    [[request, [error], metadata]] = lines_of(failed_path(here / "out.jsonl"))
    assert (metadata["id"], error["status"]) == (4, 400) and "no block" in error["error"]
    assert request == {k: v for k, v in lines[4].items() if k != "metadata"}


def test_an_expired_batch_keeps_its_answers_and_the_rest_goes_on_up_to_the_tries(here):
    path = write(here / "r.jsonl", 8)
    out = here / "out.jsonl"
    with provider(faults=["expired:1"]) as server:
        submit(path, out, base_url=server.url)
        progress = fetch(out, wait=True, poll=0.02, retries=2)
        assert (progress.answered, progress.failed, server.calls["POST batches"]) == (7, 1, 3)
        [[_, errors, metadata]] = lines_of(failed_path(out))
        assert metadata["id"] not in ids(out) and len(errors) == 3
        assert all("completion window expired" in error["error"] for error in errors)
        assert [part["requests"] for part in progress.parts] == [8, 4, 2]
        # more tries later go on from there; half of one request is none
        progress = fetch(out, wait=True, poll=0.02, retries=3)
        assert (progress.answered, progress.failed, server.calls["POST batches"]) == (7, 1, 4)


def test_batches_refused_for_want_of_room_are_sent_one_after_another(here):
    path = write(here / "r.jsonl", 6)
    release = threading.Event()
    with provider(batch_tokens=1500, answer=lambda data: (release.wait(240) and "yes", "")) as server:
        submit(path, here / "out.jsonl", base_url=server.url, most_requests=2)
        release.set()
        progress = fetch(here / "out.jsonl", wait=True, poll=0.02, retries=0)
        assert (progress.answered, progress.failed) == (6, 0)
        assert any(part.get("refused") for part in progress.parts)
    with provider(batch_tokens=100) as server:  # one that never fits is not sent for ever
        submit(path, here / "none.jsonl", base_url=server.url)
        progress = fetch(here / "none.jsonl", wait=True, poll=0.02, retries=1)
        assert progress.failed == 6 and server.calls["POST batches"] <= 4
    assert "token_limit_exceeded" in lines_of(failed_path(here / "none.jsonl"))[0][1][0]["error"]


def test_a_line_that_the_provider_finds_wrong_fails_alone(here):
    path = write(here / "r.jsonl", 4)
    with provider() as server:
        out = here / "out.jsonl"
        submit(path, out, base_url=server.url)
        # what a provider's validation would say of line 2
        state = json.loads(state_path(out).read_text())
        state["parts"][0] |= {"status": "failed", "problem": "bad: no", "wrong_lines": {"2": "bad: no"}}
        state_path(out).write_text(json.dumps(state))
        progress = fetch(out, wait=True, poll=0.02)
    assert (progress.answered, progress.failed, ids(out)) == (3, 1, [0, 2, 3])
    [[_, [error], metadata]] = lines_of(failed_path(out))
    assert metadata == {"id": 1} and "bad: no" in error["error"]


def test_a_batch_that_somebody_cancelled_is_not_submitted_again(here):
    release = threading.Event()

    def held(data):
        assert release.wait(240)
        return "yes", ""

    path = write(here / "r.jsonl", 6)
    with provider(answer=held, workers=1) as server:
        out = here / "out.jsonl"
        submit(path, out, base_url=server.url)
        progress = status(out)
        assert not progress.done and summary(progress) == "0 of 1 batches ended, 0 of 6 requests answered, 0 failed"
        with openai.OpenAI(api_key="x", base_url=server.url) as client:
            client.batches.cancel(progress.parts[0]["batch"])
        release.set()
        progress = fetch(out, wait=True, poll=0.02)
        assert server.calls["POST batches"] == 1
    assert progress.answered + progress.failed == 6 and progress.failed >= 5
    assert "cancelled" in lines_of(failed_path(out))[0][1][0]["error"]


KILLS = [
    ("POST files", "after", 2),  # uploaded, and nobody here knows the file's id
    ("POST batches", "before", 2),
    ("POST batches", "after", 1),  # created, and nobody here knows the batch's id
]


@pytest.mark.parametrize(("call", "when", "number"), KILLS)
def test_a_kill_at_any_stage_of_submitting_submits_no_part_twice(here, call, when, number):
    path = write(here / "r.jsonl", 5)
    out = here / "out.jsonl"
    with provider() as server:

        def kill(seen, moment):
            if (seen, moment, server.calls[seen]) == (call, when, number):
                os.kill(process.pid, signal.SIGKILL)

        server.at = kill
        words = ("batch", "submit", path, "--out", out, "--base-url", server.url, "--max-requests", 2)
        with started(**command(*words)) as process:
            assert process.wait(240) == -signal.SIGKILL
        server.at = lambda seen, moment: None
        submit(path, out, base_url=server.url)
        assert summary(fetch(out, wait=True, poll=0.02)).startswith("3 of 3 batches ended, 5 of 5")
        with openai.OpenAI(api_key="x", base_url=server.url) as client:
            parts = Counter(batch.metadata["judge_part"] for batch in client.batches.list())
            files = Counter(file.filename for file in client.files.list(purpose="batch"))
    assert len(parts) == 3 and set(parts.values()) == {1}
    assert len(files) == 3 and set(files.values()) == {1}
    assert ids(out) == list(range(5))


@pytest.mark.parametrize(("when", "number"), [("after", 1), ("before", 2)])
def test_a_kill_while_fetching_loses_nothing_and_the_next_fetch_ends_it(here, when, number):
    path = write(here / "r.jsonl", 5)
    out = here / "out.jsonl"
    with provider(faults=["expired:1"]) as server:
        submit(path, out, base_url=server.url, most_requests=3)

        def kill(seen, moment):
            if (seen, moment, server.calls[seen]) == ("GET content", when, number):
                os.kill(process.pid, signal.SIGKILL)

        server.at = kill
        with started(**command("batch", "fetch", out, "--wait", "--poll", 0.05, "--retries", 9)) as process:
            assert process.wait(240) == -signal.SIGKILL
        server.at = lambda seen, moment: None
        assert not out.exists()
        done = fetch(out, wait=True, poll=0.02, retries=1)
    answered, failed = ids(out), [metadata["id"] for _, _, metadata in lines_of(failed_path(out))]
    assert sorted(answered + failed) == list(range(5)) and done.answered == len(answered) >= 3


def test_a_create_without_an_answer_is_looked_for_before_it_is_tried_again(here, monkeypatch):
    """The server makes the batch and then breaks: the classic way to pay twice."""
    path = write(here / "r.jsonl", 2)
    monkeypatch.setattr("judge.batch.client.time.sleep", lambda seconds: None)
    with provider() as server:

        def break_once(seen, moment):
            if (seen, moment, server.calls[seen]) == ("POST batches", "after", 1):
                raise ConnectionResetError

        server.at = break_once
        submit(path, here / "out.jsonl", base_url=server.url)
        fetch(here / "out.jsonl", wait=True, poll=0.02)
        assert server.calls["POST batches"] == 1
    assert ids(here / "out.jsonl") == [0, 1]


def test_answers_are_joined_by_id_whatever_the_ids_are(here):
    odd = ["가나다", "x" * 80, 'quo"te', 7, "a b"]
    lines = [
        line | {"metadata": {"id": id}}
        for id, line in zip(odd, requests_for_rows([ROW | {"id": i} for i in range(5)]), strict=True)
    ]
    bare = [{k: v for k, v in lines[0].items() if k != "metadata"}] * 2  # equal, and without an id
    path = write_jsonl(here / "r.jsonl", [*lines, *bare])
    customs = [item.custom_id for item in read_items(path)]
    assert len(set(customs)) == 7 and all(len(custom) <= 64 and custom.isascii() for custom in customs)
    assert customs[3:5] == ["7", "a b"] and customs == [item.custom_id for item in read_items(path)]
    with provider() as server:
        submit(path, here / "out.jsonl", base_url=server.url)
        fetch(here / "out.jsonl", wait=True, poll=0.02)
    assert [metadata.get("id") for _, _, metadata in lines_of(here / "out.jsonl")] == [*odd, None, None]


def test_a_changed_request_file_is_noticed_and_fresh_begins_anew(here):
    path, out = write(here / "r.jsonl", 3), here / "out.jsonl"
    release = threading.Event()
    with provider(answer=lambda data: (release.wait(240) and "yes", "")) as server:
        first = submit(path, out, base_url=server.url).parts[0]["batch"]
        assert submit(path, out, base_url=server.url).parts[0]["batch"] == first  # again is nothing new
        write(path, 4)
        with pytest.raises(UserError, match=r"r.jsonl is not what .*out.batch.json was begun with"):
            submit(path, out, base_url=server.url)
        with pytest.raises(UserError, match=r"r.jsonl has changed since it was submitted"):
            release.set()
            fetch(out, wait=True, poll=0.02)
        made = submit(path, out, base_url=server.url, fresh=True)
        assert made.total == 4 and made.parts[0]["batch"] != first
        assert fetch(out, wait=True, poll=0.02).answered == 4


def test_results_that_came_another_way_are_not_written_over(here):
    path, out = write(here / "r.jsonl", 1), here / "out.jsonl"
    out.write_text("[]\n")
    with provider() as server:
        with pytest.raises(UserError, match=r"out.jsonl is there already and from no batch"):
            submit(path, out, base_url=server.url)
        submit(path, out, base_url=server.url, fresh=True)
    assert out.read_text() == "[]\n"


def test_a_fetch_after_the_fetch_finds_all_done_and_a_lost_result_file_is_loaded_again(here):
    path, out = write(here / "r.jsonl", 3), here / "out.jsonl"
    with provider() as server:
        submit(path, out, base_url=server.url)
        fetch(out, wait=True, poll=0.02)
        whole, loaded = out.read_bytes(), server.calls["GET content"]
        assert fetch(out).done and server.calls["GET content"] == loaded
        out.unlink()
        assert fetch(out).answered == 3 and out.read_bytes() == whole


def test_the_key_is_in_no_file_and_no_message(here, monkeypatch, capsys):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-this-is-the-key-1234")
    path, out = write(here / "r.jsonl", 3), here / "out.jsonl"

    def tell(data):
        return "yes", f"you sent {os.environ['OPENAI_API_KEY']}"

    with provider(answer=tell, faults=["500:0.5"]) as server:
        submit(path, out, base_url=server.url)
        fetch(out, wait=True, poll=0.02, say=print)
    kept = [p for p in here.rglob("*") if p.is_file() and folder_of(out) not in p.parents]
    assert out in kept and not [p for p in kept if b"sk-this" in p.read_bytes()]
    with pytest.raises(UserError) as caught:
        submit(path, here / "other.jsonl", base_url=server.url)  # nobody listens there now
    assert "no answer from http://127.0.0.1" in str(caught.value) and "sk-" not in str(caught.value)
    assert "sk-this" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (401, r"^http://127.0.0.1:\d+/v1 refused the key in OPENAI_API_KEY$"),
        (404, r"no Batch API, then take `judge run`: .*not me"),
        (400, r"status 400: .*not me.*; nothing is lost, run it again$"),
    ],
)
def test_a_refusal_by_the_provider_is_one_line_without_the_key(here, monkeypatch, status, says):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-this-is-the-key-1234")
    path = write(here / "r.jsonl", 1)

    async def refuse(scope, receive, send):
        body = {"error": {"message": "not me, sk-this-is-the-key-1234", "code": "x"}}
        await JSONResponse(body, status)(scope, receive, send)

    with running_server(refuse) as url, pytest.raises(UserError, match=says) as caught:
        submit(path, here / "out.jsonl", base_url=url)
    assert "sk-this" not in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("submit none.jsonl --out o.jsonl --base-url http://127.0.0.1:9/v1", "none.jsonl: no such file"),
        ("submit r.jsonl --out r.jsonl --base-url http://127.0.0.1:9/v1", "would overwrite the requests"),
        ("submit r.jsonl --out o.jsonl", "no key for https://api.openai.com/v1: set OPENAI_API_KEY"),
        ("submit r.jsonl --out o.jsonl --base-url ftp://x", "not an http address: ftp://x"),
        ("submit r.jsonl --out o.jsonl --base-url http://127.0.0.1:PORT/v1", "not an http address: http://127.0.0.1:PORT"),
        ("submit r.jsonl --out o.jsonl --base-url http://[::1/v1", "not an http address: http://[::1"),
        ("submit bad.jsonl --out o.jsonl --base-url http://127.0.0.1:9/v1", "bad.jsonl line 2: metadata id '1' is already"),
        ("submit cut.jsonl --out o.jsonl --base-url http://127.0.0.1:9/v1", "cut.jsonl line 1: not a whole JSON value"),
        ("submit empty.jsonl --out o.jsonl --base-url http://127.0.0.1:9/v1", "empty.jsonl: holds no requests"),
        ("submit r.jsonl --out o.jsonl --max-bytes 1000 --base-url http://127.0.0.1:9/v1", "more than the 1000 of a whole file"),
        ("status o.jsonl", "o.batch.json: no such file; `judge batch submit REQUESTS --out o.jsonl` makes it"),
        ("fetch damaged.jsonl", "damaged.batch.json: not the state of a batch run"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_that_says_what_and_where(here, capsys, line, says):
    write(here / "r.jsonl", 2)
    (here / "bad.jsonl").write_text('{"messages": [], "metadata": {"id": 1}}\n' * 2)
    (here / "cut.jsonl").write_text('{"messages": [')
    (here / "empty.jsonl").touch()
    (here / "damaged.batch.json").write_text("{}")
    with pytest.raises(SystemExit) as exit:
        main(["batch", *line.split()])
    said = capsys.readouterr()
    assert (exit.value.code, said.out) == (2, "") and says in said.err and said.err.count("\n") == 1
    assert not (here / "o.batch.json").exists() and not list(here.glob("*.lock"))


def test_a_download_that_is_cut_off_is_one_line_and_leaves_no_file(here):
    half = b"HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: 100\r\n\r\n{}\n"
    with answering(half) as port, pytest.raises(UserError, match=r"cut off: .*; nothing is lost, run it again"):
        download(connect(f"http://127.0.0.1:{port}/v1"), "file-1", here / "part.jsonl")
    assert not (here / "part.jsonl").exists()


def test_on_the_command_line_fetch_says_3_until_it_is_done(here, capsys):
    write(here / "requests.jsonl", 4)
    release = threading.Event()

    def judge(line):
        with pytest.raises(SystemExit) as exit:
            main(["batch", *line.split()])
        return exit.value.code or 0, capsys.readouterr().out

    with provider(answer=lambda data: (release.wait(240) and "yes", "")) as server:
        code, out = judge(f"submit requests.jsonl --out results.jsonl --base-url {server.url} --max-requests 2")
        assert (code, out) == (0, "4 requests in 2 batches -> results.batch.json\n")
        code, out = judge("fetch results.jsonl")
        assert (code, out.split(";")[0]) == (3, "0 of 2 batches ended, 0 of 4 requests answered, 0 failed")
        release.set()
        code, out = judge("fetch results.jsonl --wait --poll 0.05")
        assert (code, out) == (0, "4 of 4 requests answered -> results.jsonl\n")
        code, out = judge("status results.jsonl")
        assert code == 0 and out.splitlines()[-1].startswith("2 of 2 batches ended, 4 of 4 requests answered")


@pytest.mark.parametrize("name", ["submit", "status", "fetch"])
def test_each_commands_help_has_an_example_of_it(capsys, name):
    with pytest.raises(SystemExit):
        main(["batch", name, "--help"])
    assert f"Example:\n    judge batch {name} " in capsys.readouterr().out
