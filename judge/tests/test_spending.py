"""What a run costs: prices, --max-cost, and the response cache."""

import asyncio
from contextlib import suppress

import pytest
from fake_judge import command, completion, fake_judge, lines_of, started, write_requests
from judge.parallel import report, run_requests
from judge.processor.cache import default_folder
from judge.processor.gate import Gate, Stopping
from judge.processor.prices import Price, parse_price, price_of, price_table
from judge.text import UserError

USAGE = {"usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}}
PAID = (200, completion(**USAGE), {})  # with the price 10,100: two cents


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "JUDGE_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def run(tmp_path, prompts, fake, out="results.jsonl", **options):
    requests = write_requests(tmp_path / "requests.jsonl", prompts)
    return run_requests(requests, tmp_path / out, base_url=fake.url, first_pause=0.01, **options)


@pytest.mark.parametrize(
    ("model", "known"),
    [
        ("gpt-4o", "gpt-4o"),
        ("openai/gpt-4o", "gpt-4o"),
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("gpt-4o-2024-05-13", "gpt-4o-2024-05-13"),
        ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("gpt-4o-audio", None),
        ("local-execution", None),
        (None, None),
    ],
)
def test_a_snapshot_costs_what_its_model_does_and_an_unknown_model_has_no_price(model, known):
    assert price_of(model) == (price_table()[known] if known else None)


def test_every_listed_price_has_a_date():
    assert all(price.source.startswith("list price of 20") for price in price_table().values())


@pytest.mark.parametrize("text", ["", "1", "1,2,3", "a,b", "-1,2", "nan,1", "inf,1"])
def test_a_price_that_is_none_is_refused_with_an_example(text):
    with pytest.raises(UserError, match=r"as in --price 2\.5,10"):
        parse_price(text)


def test_tokens_and_dollars_are_told_by_the_answers_own_usage(tmp_path, capsys):
    with fake_judge({"*": [PAID] * 3}) as fake:
        outcome = run(tmp_path, ["a", "b", "c"], fake, price=parse_price("10,100"))
    assert outcome.tokens == 3300 and outcome.cost == pytest.approx(0.06)
    report(outcome, "x")
    assert "3,300 tokens, $0.0600 by --price" in capsys.readouterr().err


def test_no_money_is_named_where_a_price_is_not_known(tmp_path, capsys):
    with fake_judge({"*": [PAID] * 3}) as fake:
        outcome = run(tmp_path, ["a"], fake)
    report(outcome, "x")
    assert outcome.cost is None and "$" not in capsys.readouterr().err


def test_max_cost_stops_before_it_is_passed_and_the_same_command_goes_on(tmp_path, capsys):
    prompts = [f"p{i}" for i in range(20)]
    with fake_judge({"*": [PAID] * 20}) as fake:
        outcome = run(tmp_path, prompts, fake, price=Price(10, 100, "--price"), max_cost=0.2, concurrency=3)
        assert outcome.cost <= 0.2 + 1e-9 and 8 <= outcome.answered <= 10
        assert outcome.answered == len(fake.calls)  # what was in flight was waited for
        assert report(outcome, "x") == 3
        assert "stopped at --max-cost 0.2: " in capsys.readouterr().err
        assert not (tmp_path / "results.jsonl").exists()
        again = run(tmp_path, prompts, fake, price=Price(10, 100, "--price"), max_cost=9)
        assert again.reused == outcome.answered and again.answered == 20 and len(fake.calls) == 20
    assert report(again, "x") == 0


@pytest.mark.parametrize("at_once", [0, 1, 2, 3])
def test_each_request_asks_whether_it_can_be_paid_for_however_many_answers_came_at_once(at_once):
    async def leaving() -> int:
        gate = Gate(rpm=None, tpm=None, concurrency=3)
        gate.window.open()
        gate.in_flight, answered = 3, 6  # of ten that can be paid for
        gate.afford = lambda: answered + gate.in_flight < 10
        for _ in range(at_once):
            answered += 1
            gate.answered()
        left = 0
        with suppress(TimeoutError, Stopping):
            while True:
                await asyncio.wait_for(gate.enter(lambda: 1), 0.2)
                left += 1
        return left

    assert asyncio.run(leaving()) == min(at_once, 1)


def test_max_cost_stops_at_an_answer_that_does_not_say_what_it_used(tmp_path):
    with fake_judge() as fake:
        outcome = run(tmp_path, list("abcdefgh"), fake, price=Price(10, 100, "--price"), max_cost=1)
    assert (outcome.answered, len(fake.calls)) == (1, 1)
    assert "no usage or no known price" in outcome.limited


@pytest.mark.parametrize(("max_cost", "sent"), [(0, 0), (0.02, 1), (0.07, 3)])
def test_max_cost_is_kept_from_the_first_request_on_however_slow_the_answers(tmp_path, max_cost, sent):
    with fake_judge({"*": [PAID] * 9}, delay=0.3) as fake:
        outcome = run(tmp_path, list("abcdefghi"), fake, price=Price(10, 100, "--price"), max_cost=max_cost, rpm=60_000)
    assert (outcome.answered, len(fake.calls)) == (sent, sent)


def test_every_model_of_a_panel_needs_a_price_for_max_cost(tmp_path):
    requests = tmp_path / "requests.jsonl"
    write_requests(requests, ["a"], model="gpt-4o")
    requests.write_text(requests.read_text() + write_requests(tmp_path / "b.jsonl", ["b"], model="own").read_text())
    with pytest.raises(UserError, match="none for own"):
        run_requests(requests, tmp_path / "out.jsonl", base_url="https://judge.invalid/v1", api_key="k", max_cost=1)


def test_max_cost_without_a_price_is_refused_before_anything_is_sent(tmp_path):
    with fake_judge() as fake, pytest.raises(UserError, match="needs a price and there is none for m"):
        run(tmp_path, ["a"], fake, max_cost=1)
    assert not fake.calls


@pytest.mark.parametrize(
    ("first", "second", "calls"),
    [("read-write", "read", 3), ("read-write", "read-write", 3), ("read-write", "off", 6), ("read", "read", 6)],
)
def test_the_cache_answers_another_file_with_the_same_requests(tmp_path, first, second, calls, capsys):
    with fake_judge() as fake:
        for number, mode in enumerate([first, second]):
            outcome = run(tmp_path, ["a", "b", "c"], fake, f"{number}.jsonl", cache=mode, cache_dir=tmp_path / "cache")
            assert outcome.answered == 3
        assert len(fake.calls) == calls
    assert lines_of(tmp_path / "0.jsonl") == lines_of(tmp_path / "1.jsonl")
    report(outcome, "x")
    said = capsys.readouterr().out
    assert ("3 from the cache at no cost" in said) == (outcome.cached == 3) == (calls == 3)


def test_the_cache_tells_equal_requests_apart_so_that_samples_stay_samples(tmp_path):
    answers = [(200, completion(text), {}) for text in ("first", "second", "third")]
    path = tmp_path / "requests.jsonl"
    path.write_text('{"model": "m", "messages": [{"role": "user", "content": "x"}]}\n' * 3)
    with fake_judge({"x": answers}) as fake:
        for out in ("0.jsonl", "1.jsonl"):
            run_requests(
                path, tmp_path / out, base_url=fake.url, cache="read-write", cache_dir=tmp_path / "c", concurrency=1
            )
        assert len(fake.calls) == 3
    said = [[line[1]["choices"][0]["message"]["content"] for line in lines_of(tmp_path / f"{n}.jsonl")] for n in (0, 1)]
    assert said[0] == said[1] and sorted(said[0]) == ["first", "second", "third"]


def test_a_failure_is_not_cached(tmp_path):
    with fake_judge({"a": [(400, {"error": {"message": "no"}}, {})]}) as fake:
        for number in range(2):
            outcome = run(tmp_path, ["a"], fake, f"{number}.jsonl", cache="read-write", cache_dir=tmp_path / "c")
    assert outcome.answered == 1 and outcome.cached == 0


def test_a_cache_that_is_no_database_is_one_line_that_names_it(tmp_path):
    (tmp_path / "responses.sqlite").write_text("no database at all, but long enough to look like a file of one" * 20)
    with fake_judge() as fake, pytest.raises(UserError, match=r"cannot use the cache .*responses.sqlite.*--cache off"):
        run(tmp_path, ["a"], fake, cache="read", cache_dir=tmp_path)


def test_the_cache_lies_where_the_platform_keeps_caches(monkeypatch, tmp_path):
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "sllm-judge"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert str(default_folder()) == "/home/me/.cache/sllm-judge"


def test_the_command_line_takes_price_cost_and_cache(tmp_path):
    requests = write_requests(tmp_path / "requests.jsonl", ["a", "b"])
    with fake_judge({"*": [PAID] * 2}) as fake:
        given = ["run", requests, "--out", tmp_path / "out.jsonl", "--base-url", fake.url, "--price", "10,100"]
        options = ["--max-cost", "1", "--cache", "read-write", "--cache-dir", tmp_path / "cache"]
        with started(**command(*given, *options)) as process:
            out, err = process.communicate(timeout=120)
    assert process.returncode == 0 and "2 of 2 requests answered" in out, err
    assert "$0.0400" in err and (tmp_path / "cache" / "responses.sqlite").exists()
