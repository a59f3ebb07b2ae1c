"""The parallel processor against a real HTTP server that misbehaves on purpose."""

import asyncio
import json
import time

import pytest
from fake_judge import CUT, HANG, command, completion, fake_judge, lines_of, started, write_requests
from judge.parallel import failed_path, main, run_requests
from judge.text import UserError

RATE = {"error": {"message": "slow down", "type": "requests", "code": "rate_limit_exceeded"}}
BROKEN = {"error": {"message": "try later", "type": "server_error", "code": None}}
QUOTA = {"error": {"message": "no money", "type": "insufficient_quota", "code": "insufficient_quota"}}


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "JUDGE_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def run(tmp_path, prompts, fake, **options):
    requests = write_requests(tmp_path / "requests.jsonl", prompts)
    options = {"first_pause": 0.01, "timeout": 60, "max_attempts": 3} | options
    return run_requests(requests, tmp_path / "results.jsonl", base_url=fake.url, **options)


def test_results_come_in_the_order_of_the_requests_with_their_metadata(tmp_path):
    prompts = [f"p{i}" for i in range(12)]
    with fake_judge({"p0": [CUT], "p3": [(500, BROKEN, {})]}) as fake:
        outcome = run(tmp_path, prompts, fake)
    assert (outcome.answered, outcome.failed) == (12, 0)
    lines = lines_of(tmp_path / "results.jsonl")
    assert [metadata["id"] for _, _, metadata in lines] == prompts
    request, response, _ = lines[0]
    assert request == {"model": "m", "messages": [{"role": "user", "content": "p0"}]}
    assert response == completion()
    assert not failed_path(tmp_path / "results.jsonl").exists()


@pytest.mark.parametrize(
    ("steps", "answered", "calls"),
    [
        ([(500, BROKEN, {}), (503, "<html>", {})], True, 3),
        ([(500, BROKEN, {})] * 3, False, 3),
        ([(429, RATE, {})], True, 2),
        ([(429, "slow down", {"content-type": "text/plain"})], True, 2),
        ([(400, RATE, {})], True, 2),
        ([(200, RATE, {})], True, 2),
        ([(200, BROKEN, {})], True, 2),
        ([(408, BROKEN, {})], True, 2),
        ([CUT, CUT], True, 3),
        ([(200, "{half", {})], True, 2),
        ([(200, "plain words", {"content-type": "text/plain"})], True, 2),
        ([(200, completion() | {"choices": []}, {})], True, 2),
        ([(200, completion(), {"content-type": "text/plain"})], True, 1),
        ([(400, BROKEN, {})], False, 1),
        ([(404, BROKEN, {})], False, 1),
        ([(403, BROKEN, {})], False, 1),
    ],
)
def test_what_may_pass_is_tried_again_and_what_cannot_is_not(tmp_path, steps, answered, calls):
    with fake_judge({"bad": list(steps)}) as fake:
        outcome = run(tmp_path, ["good", "bad"], fake)
        assert fake.prompts().count("bad") == calls
    assert outcome.answered == 1 + answered and outcome.failed == 1 - answered
    if not answered:
        [[request, errors, metadata]] = lines_of(failed_path(tmp_path / "results.jsonl"))
        assert (request["model"], len(errors), metadata) == ("m", calls, {"id": "bad"})
        assert errors[-1]["status"] == steps[-1][0] and errors[-1]["error"]


def test_an_answer_that_does_not_come_in_time_is_asked_for_again(tmp_path):
    with fake_judge({"a": [HANG]}) as fake:
        outcome = run(tmp_path, ["a"], fake, timeout=2, max_attempts=9)
        assert outcome.answered == 1 and len(fake.calls) >= 2
        assert fake.calls[1][1] - fake.calls[0][1] < 4


@pytest.mark.parametrize("header", [{"retry-after": "1"}, {"retry-after-ms": "1000"}])
def test_retry_after_is_obeyed_by_everyone(tmp_path, header):
    with fake_judge({"a": [(429, RATE, header)]}) as fake:
        run(tmp_path, ["a", "b"], fake, concurrency=1)
        first, *later = [at for _, at in fake.calls]
    assert len(later) == 2 and all(at - first >= 0.99 for at in later)


def test_a_limit_that_the_server_announces_when_it_refuses_is_kept_to(tmp_path):
    headers = {"x-ratelimit-limit-requests": "120", "retry-after": "1"}
    with fake_judge({"p0": [(429, RATE, headers)]}) as fake:
        run(tmp_path, [f"p{i}" for i in range(4)], fake, concurrency=1)
        times = [at for _, at in fake.calls]
    # 120 a minute: after the second to wait, two at once, then one each half second.
    assert times[4] - times[0] >= 2


@pytest.mark.parametrize("limit", [{"rpm": 600}, {"tpm": 7200}])
def test_requests_and_tokens_a_minute_are_kept_to(tmp_path, limit):
    """600 a minute are 10 at once and 10 a second, so 30 need two seconds. So do 7200 tokens, 12 a request."""
    with fake_judge() as fake:
        began = time.monotonic()
        outcome = run(tmp_path, [f"p{10 + i} one two three" for i in range(30)], fake, **limit)
        assert fake.calls[-1][1] - began >= 2
    assert outcome.answered == 30


def test_no_more_are_in_flight_than_concurrency_allows(tmp_path):
    with fake_judge(delay=0.2) as fake:
        run(tmp_path, [f"p{i}" for i in range(9)], fake, concurrency=3)
        assert fake.most_at_once == 3


def test_a_request_larger_than_the_token_limit_fails_at_once_with_its_reason(tmp_path):
    with fake_judge() as fake:
        outcome = run(tmp_path, ["small", "word " * 500], fake, tpm=100)
        assert fake.prompts() == ["small"]
    assert outcome.failed == 1
    [[_, errors, _]] = lines_of(failed_path(tmp_path / "results.jsonl"))
    assert "tokens, more than the 100 a minute" in errors[0]["error"]


def test_running_again_sends_only_what_is_missing(tmp_path):
    prompts = ["a", "b", "c"]
    with fake_judge({"b": [(400, BROKEN, {})]}) as fake:
        assert run(tmp_path, prompts, fake).failed == 1
        assert [m["id"] for _, _, m in lines_of(tmp_path / "results.jsonl")] == ["a", "c"]
        again = run(tmp_path, prompts, fake)
        assert (again.reused, again.answered, again.failed) == (2, 3, 0)
        assert sorted(fake.prompts()) == ["a", "b", "b", "c"]
        assert [m["id"] for _, _, m in lines_of(tmp_path / "results.jsonl")] == prompts
        assert not failed_path(tmp_path / "results.jsonl").exists()
        run(tmp_path, prompts, fake)
        assert len(fake.calls) == 4
        run(tmp_path, prompts, fake, fresh=True)
        assert len(fake.calls) == 7


def test_an_answer_is_not_reused_for_a_changed_request_or_from_another_endpoint(tmp_path):
    with fake_judge() as fake:
        run(tmp_path, ["a", "b"], fake)
        write_requests(tmp_path / "requests.jsonl", ["a", "b"], temperature=1)
        outcome = run_requests(tmp_path / "requests.jsonl", tmp_path / "results.jsonl", base_url=fake.url)
        assert (outcome.reused, len(fake.calls)) == (0, 4)
        assert "2 answers" in outcome.notes[0]
        journal = tmp_path / "results.jsonl.journal"
        journal.write_text(journal.read_text().replace('"loopback/', '"https://api.openai.com/'))
        assert run(tmp_path, ["a", "b"], fake).reused == 0


def test_equal_requests_without_ids_each_get_a_line_of_their_own(tmp_path):
    path = tmp_path / "requests.jsonl"
    path.write_text('{"model": "m", "messages": [{"role": "user", "content": "x"}]}\n' * 3)
    with fake_judge() as fake:
        for _ in range(2):
            run_requests(path, tmp_path / "results.jsonl", base_url=fake.url)
        assert len(fake.calls) == 3
    assert len(lines_of(tmp_path / "results.jsonl")) == 3


@pytest.mark.parametrize(("status", "body"), [(401, {"error": {"message": "bad key sk-secret-1234567"}}), (429, QUOTA)])
def test_a_refused_key_or_account_stops_the_run_and_the_key_is_nowhere(tmp_path, monkeypatch, status, body):
    key = "sk-secret-1234567"
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with fake_judge({"*": [(status, body, {})] * 50}) as fake:
        outcome = run(tmp_path, [f"p{i}" for i in range(50)], fake, concurrency=2)
        assert len(fake.calls) <= 4
        assert fake.headers[0]["Authorization"] == f"Bearer {key}"
    assert outcome.failed == 50 and "refused the key or the account" in outcome.stopped
    written = "".join(path.read_text() for path in tmp_path.iterdir())
    assert "not sent" in written and key not in written and key not in outcome.stopped


def test_a_key_that_a_server_echoes_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "lab-key-0123456789")
    with fake_judge({"a": [(200, completion("you sent lab-key-0123456789"), {})]}) as fake:
        run(tmp_path, ["a"], fake)
    assert "lab-key" not in "".join(path.read_text() for path in tmp_path.iterdir())


def test_nobody_listening_is_one_line_that_names_the_address(tmp_path):
    with fake_judge() as fake:
        url = fake.url
    requests = write_requests(tmp_path / "requests.jsonl", [f"p{i}" for i in range(30)])
    outcome = run_requests(requests, tmp_path / "results.jsonl", base_url=url, first_pause=0.01)
    where = f"{url}/chat/completions"
    assert outcome.stopped == f"no answer from {where} in 5 attempts: connection failed: Connection refused"
    assert outcome.failed == 30


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            '{"metadata": {"id": 7}}\n{"metadata": {"id": "7"}}\n',
            "line 2: metadata id '7' is already on line 1",
        ),
        ('{"metadata": 3}\n', "line 1: metadata is an object, found int"),
        ('{"metadata": {"id": null}}\n', "line 1: an id is text or a whole number, not null"),
        ("[1]\n", "line 1: a request is an object, found list"),
        ('{"model": "m"}\n{"mod', "line 2: not a whole JSON value"),
        ("\n", "holds no lines"),
    ],
)
def test_a_bad_request_file_is_one_line_with_its_place(tmp_path, text, says):
    path = tmp_path / "requests.jsonl"
    path.write_text(text)
    with pytest.raises(UserError, match=says):
        run_requests(path, tmp_path / "results.jsonl", base_url="http://127.0.0.1:9/v1")
    assert not (tmp_path / "results.jsonl").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"base_url": "https://judge.example/v1"}, "no key for https://judge.example/v1/chat/completions"),
        (
            {"base_url": "https://me:pw@judge.example/v1"},
            "no key for https://judge.example/v1/chat/completions",
        ),
        ({"base_url": "ftp://x"}, "not an http address"),
        ({"base_url": "http://127.0.0.1:9/v1", "encoding": "nope", "tpm": 9}, "no token encoding 'nope'"),
    ],
)
def test_a_bad_address_key_or_encoding_is_said_before_anything_is_sent(tmp_path, options, says):
    requests = write_requests(tmp_path / "requests.jsonl", ["a"])
    with pytest.raises(UserError, match=says) as caught:
        run_requests(requests, tmp_path / "results.jsonl", **options)
    assert "pw" not in str(caught.value)


def test_two_runs_into_one_file_do_not_mix(tmp_path):
    requests = write_requests(tmp_path / "requests.jsonl", ["a"])
    out = tmp_path / "results.jsonl"
    first = command("run", requests, "--out", out, "--base-url")
    with fake_judge(hold_after=0) as fake:
        first["args"].append(fake.url)
        with started(**first) as process:
            while not fake.calls:
                assert process.poll() is None
            with pytest.raises(UserError, match="another run is writing"):
                run(tmp_path, ["a"], fake)
            fake.release.set()
            process.communicate(timeout=60)
            assert process.returncode == 0


def test_it_runs_where_an_event_loop_runs_already_as_in_a_notebook(tmp_path):
    async def cell():
        with fake_judge() as fake:
            return run(tmp_path, ["a"], fake)

    assert asyncio.run(cell()).answered == 1


def test_the_cookbook_scripts_flags_and_files_are_taken(tmp_path, capsys):
    requests = write_requests(tmp_path / "requests.jsonl", ["a", "b"])
    with fake_judge({"b": [(400, BROKEN, {})]}) as fake:
        code = main(
            f"--requests_filepath {requests} --save_filepath {tmp_path}/out.jsonl --api_key abc "
            f"--request_url {fake.url}/chat/completions --max_requests_per_minute 3000 "
            "--max_tokens_per_minute 100000 --token_encoding_name cl100k_base --max_attempts 2 "
            "--logging_level 40".split()
        )
        assert fake.headers[0]["Authorization"] == "Bearer abc"
    assert code == 1
    assert "1 of 2 requests answered" in capsys.readouterr().out
    assert [len(line) for line in lines_of(tmp_path / "out.jsonl")] == [3]
    assert lines_of(tmp_path / "out.failed.jsonl")[0][2] == {"id": "b"}


def test_requests_of_another_kind_go_to_a_whole_address(tmp_path):
    path = tmp_path / "requests.jsonl"
    path.write_text(json.dumps({"model": "e", "input": "x"}) + "\n")
    with fake_judge({"x": [(200, {"object": "list", "data": []}, {})]}) as fake:
        outcome = run_requests(path, tmp_path / "out.jsonl", url=fake.url + "/embeddings", max_attempts=1)
    assert outcome.answered == 1


def test_a_proxy_of_the_outside_world_does_not_get_what_is_meant_for_this_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with fake_judge() as fake:
        assert run(tmp_path, ["a"], fake).answered == 1
