"""`judge cost`: what a request file would cost, told before anything is sent."""

import json
import subprocess
from contextlib import suppress

import pytest
from fake_judge import command, completion, fake_judge, write_requests
from judge.cli import main
from judge.parallel import run_requests
from judge.processor.cost import estimate
from judge.processor.prices import parse_price
from judge.text import UserError

USAGE = {"usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}}


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "JUDGE_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def test_the_cost_is_that_of_the_prompts_and_of_replies_as_long_as_they_may_be(tmp_path):
    requests = write_requests(tmp_path / "requests.jsonl", ["hello", "world"], model="gpt-4o", max_tokens=50)
    found = estimate(requests)
    # each a word, its role, four tokens round the message, three that open the reply
    assert (found["waiting"], found["prompt_tokens"], found["most_reply_tokens"]) == (2, 18, 100)
    assert found["most_cost"] == pytest.approx((18 * 2.5 + 100 * 10) / 1e6)
    assert found["price"]["source"].startswith("list price of")


@pytest.mark.parametrize(
    ("model", "url", "price", "known"),
    [
        ("gpt-4o", "https://api.openai.com/v1", None, True),
        ("someones-own", "https://api.openai.com/v1", None, False),
        ("someones-own", "https://api.openai.com/v1", "1,2", True),
        ("gpt-4o", "http://127.0.0.1:9/v1", None, False),
    ],
)
def test_no_dollars_are_named_without_a_price_or_on_this_machine(tmp_path, model, url, price, known):
    requests = write_requests(tmp_path / "requests.jsonl", ["hello"], model=model)
    found = estimate(requests, base_url=url, price=price and parse_price(price))
    assert (found["prompt_cost"] is not None, found["price"] is not None) == (known, known)


def test_requests_without_a_limit_to_their_replies_have_no_most_that_they_can_cost(tmp_path, capsys):
    requests = write_requests(tmp_path / "requests.jsonl", ["hello", "world"], model="gpt-4o")
    found = estimate(requests)
    assert (found["most_cost"], found["unlimited"]) == (None, 2)
    assert found["prompt_cost"] == pytest.approx(18 * 2.5 / 1e6)
    with suppress(SystemExit):
        main(["cost", str(requests)])
    said = capsys.readouterr().out
    assert "2 set no max_tokens; $0.0000 for the prompts alone" in said and "at most" not in said


def test_what_has_been_answered_is_spent_and_not_counted_again(tmp_path):
    out = tmp_path / "results.jsonl"
    with fake_judge({"*": [(200, completion(**USAGE), {})] * 2}) as fake:
        write_requests(tmp_path / "requests.jsonl", ["a", "b"])
        run_requests(tmp_path / "requests.jsonl", out, base_url=fake.url)
        requests = write_requests(tmp_path / "requests.jsonl", ["a", "b", "c"])
        found = estimate(requests, out, base_url=fake.url, price=parse_price("10,100"))
        assert (found["answered"], found["waiting"], found["spent_tokens"]) == (2, 1, 2200)
        assert found["spent"] == pytest.approx(0.04)
        assert len(fake.calls) == 2


def test_looking_at_the_cost_leaves_nothing_behind(tmp_path):
    requests = write_requests(tmp_path / "requests.jsonl", ["a"])
    estimate(requests, tmp_path / "results.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["requests.jsonl"]


def test_a_missing_file_is_said_in_one_line(tmp_path):
    with pytest.raises(UserError, match=r"none\.jsonl: no such file"):
        estimate(tmp_path / "none.jsonl")


def test_the_command_says_it_and_writes_it(tmp_path):
    requests = write_requests(tmp_path / "requests.jsonl", ["hello"], model="gpt-4o", max_tokens=50)
    done = subprocess.run(**command("cost", requests, "--out", tmp_path / "cost.json"), check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1 of 1 requests to send: 9 tokens in and at most 50 out, at most $0.0005 by list")
    assert json.loads((tmp_path / "cost.json").read_text("utf-8")) == estimate(requests)
