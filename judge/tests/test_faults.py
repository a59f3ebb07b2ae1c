"""What `judge serve` does on purpose: limits and faults, over real HTTP where there is a wire to see them on."""

import http.client
import json
import time
from collections import Counter
from urllib.parse import urlsplit

import openai
import pytest
from fake_judge import lines_of
from judge.evaluation import reply_text, requests_for_rows
from judge.parallel import run_requests
from judge.serve import running_server
from judge.serve.faults import Faults, parse_faults
from judge.serve.limits import Limits, Window
from judge.text import UserError, write_jsonl

ROW = {
    "context": "CREATE TABLE t (a INT);",
    "question": "몇 개?",
    "answer": "SELECT a FROM t",
    "gen_sql": "SELECT a FROM t",
}


def requests(count):
    return requests_for_rows([ROW | {"id": i, "question": f"q{i}"} for i in range(count)])


def yes(data):
    return "yes", "same"


def post(url, request, timeout=30):
    """(status, headers, body) as they stand on the wire."""
    sent = json.dumps({key: value for key, value in request.items() if key != "metadata"}).encode()
    at = urlsplit(url)
    wire = http.client.HTTPConnection(at.hostname, at.port, timeout=timeout)
    try:
        wire.request("POST", at.path + "/chat/completions", sent, {"content-type": "application/json"})
        reply = wire.getresponse()
        return reply.status, reply.headers, reply.read()
    finally:
        wire.close()


@pytest.mark.parametrize(
    ("fault", "status", "code", "has", "lacks"),
    [
        ("429:1", 429, "rate_limit_exceeded", ["retry-after", "x-ratelimit-remaining-requests"], []),
        ("429-bare:1", 429, "rate_limit_exceeded", [], ["retry-after", "x-ratelimit-limit-requests"]),
        ("500:1", 500, "server_error", ["x-ratelimit-limit-requests"], ["retry-after"]),
    ],
)
def test_a_refusal_made_on_purpose_looks_like_a_real_one(fault, status, code, has, lacks):
    with running_server(answer=yes, faults=[fault], rpm=600) as url:
        said, headers, body = post(url, requests(1)[0])
    assert (said, json.loads(body)["error"]["code"]) == (status, code)
    assert [name for name in has if name not in headers] == []
    assert [name for name in lacks if name in headers] == []


def test_a_cut_answer_ends_the_connection_in_the_middle_of_the_body(capfd):
    with running_server(answer=yes, faults=["cut:1"]) as url, pytest.raises(http.client.IncompleteRead):
        post(url, requests(1)[0])
    assert capfd.readouterr().err == ""  # and no complaint in the teacher's terminal


def test_a_malformed_answer_is_status_200_with_a_body_that_is_no_json():
    with running_server(answer=yes, faults=["malformed:1"]) as url:
        status, _, body = post(url, requests(1)[0])
    assert status == 200 and body.startswith(b"{")
    with pytest.raises(ValueError):
        json.loads(body)


def test_prose_round_the_verdict_is_still_one_verdict_to_a_reader_of_replies():
    with running_server(answer=yes, faults=["prose:1"]) as url:
        content, error = reply_text(json.loads(post(url, requests(1)[0])[2]))
    assert not error and "```json" in content and '{"resolve_yn": "yes"' in content
    with pytest.raises(ValueError):
        json.loads(content)


def test_a_slow_answer_outlasts_a_short_timeout_and_latency_is_added_to_each():
    with running_server(answer=yes, faults=["slow:1"], slow=2) as url, pytest.raises(TimeoutError):
        post(url, requests(1)[0], timeout=0.2)
    with running_server(answer=yes, latency=300) as url:
        start = time.monotonic()
        assert post(url, requests(1)[0])[0] == 200 and time.monotonic() - start >= 0.3


def test_faults_hang_on_seed_request_and_attempt_alone():
    shares = parse_faults(["429:0.2", "500:0.2"])
    keys = [f"request {i}" for i in range(2000)]

    def met(seed, order):
        faults = Faults(shares, seed)
        return {(key, attempt): faults.of_request(key) for attempt in (1, 2) for key in order}

    first = met(1, keys)
    assert met(1, keys[::-1]) == first != met(2, keys)
    counts = Counter(first.values())
    assert all(abs(counts[kind] / 4000 - 0.2) < 0.03 for kind in shares)
    again = Counter(first[key, 2] for key in keys if first[key, 1] == "429")
    assert again["429"] < again[""]  # a request that is sent again has a new chance


def test_the_processor_gets_every_row_through_every_kind_of_fault(tmp_path):
    path = write_jsonl(tmp_path / "r.jsonl", requests(60))
    kinds = ["429-bare:0.1", "500:0.1", "cut:0.1", "malformed:0.1", "prose:0.1"]
    with running_server(answer=yes, faults=kinds, seed=3) as url:
        outcome = run_requests(path, tmp_path / "out.jsonl", base_url=url, max_attempts=12, first_pause=0.01)
    assert (outcome.answered, outcome.failed) == (60, 0)
    assert [metadata["id"] for _, _, metadata in lines_of(tmp_path / "out.jsonl")] == list(range(60))


@pytest.mark.parametrize("given", ["429", "429:x", "429:1.5", "429:-1", "teapot:0.1", "429:nan", ":0.1"])
def test_a_fault_that_does_not_exist_is_one_line_that_lists_those_that_do(given):
    with pytest.raises(UserError, match=r"expected KIND:SHARE as in 429:0.05; kinds are 429, 429-bare, 500"):
        parse_faults([given])


def test_shares_of_more_than_every_request_are_refused_but_batches_are_counted_apart():
    with pytest.raises(UserError, match="more than every request"):
        parse_faults(["429:0.6", "500:0.6"])
    assert parse_faults(["429:0.6", "expired:0.6"]) == {"429": 0.6, "expired": 0.6}


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_window_holds_its_limit_in_any_60_seconds_and_says_when_there_is_room():
    clock = Clock()
    window = Window(10, clock=clock)
    spent = []
    for _ in range(40):
        clock.now += window.wait(1) + 0.001
        window.spend(1)
        spent.append(clock.now)
        clock.now += 1.7
    assert max(sum(start <= when < start + 60 for when in spent) for start in spent) == 10
    assert spent[-1] < 60 * 40 / 10  # and no lower than the limit


def test_a_window_waits_for_the_oldest_that_make_room_enough():
    clock = Clock()
    window = Window(100, clock=clock)
    for when, cost in ((0, 50), (10, 30), (20, 20)):
        clock.now = when
        window.spend(cost)
    assert [window.wait(cost) for cost in (20, 50, 51, 80, 81, 100)] == [40, 40, 50, 50, 60, 60]
    clock.now = 61
    assert (window.level, window.wait(50), window.wait(51)) == (50, 0, 9)


@pytest.mark.parametrize("mode", ["bucket", "window"])
def test_past_the_limit_it_is_429_with_headers_or_without_as_it_was_told(mode):
    for headers in (True, False):
        with (
            running_server(answer=yes, rpm=2, tpm=50_000, limit_mode=mode, headers=headers) as url,
            openai.OpenAI(api_key="x", base_url=url, max_retries=0) as client,
        ):
            asks = [{k: v for k, v in request.items() if k != "metadata"} for request in requests(3)]
            first = client.chat.completions.with_raw_response.create(**asks[0])
            client.chat.completions.create(**asks[1])
            with pytest.raises(openai.RateLimitError) as caught:
                client.chat.completions.create(**asks[2])
        told = [name for name in caught.value.response.headers if name.startswith(("x-ratelimit", "retry"))]
        assert len(told) == (7 if headers else 0) and caught.value.code == "rate_limit_exceeded"
        assert first.headers.get("x-ratelimit-remaining-requests") == ("1" if headers else None)


@pytest.mark.parametrize("mode", ["bucket", "window"])
def test_a_request_larger_than_the_limit_is_refused_with_its_reason_and_costs_nothing(mode):
    limits = Limits(tpm=100, mode=mode)
    assert "request too large: 101 tokens, the limit is 100" in limits.spend(101)[1]
    assert "retry-after" not in limits.spend(101)[0]
    assert limits.spend(100)[1] == ""
    told, why = limits.spend(50)
    assert why.startswith("rate limit reached") and 0 < int(told["retry-after"]) <= 60
