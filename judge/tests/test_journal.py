"""What is kept between runs, and that nothing of it is lost or overwritten in silence."""

import os
import resource
import subprocess
import sys

import pytest
from fake_judge import command, completion, fake_judge, lines_of, write_requests
from judge.parallel import run_requests
from judge.processor.journal import Journal
from judge.processor.requestfile import RequestFile
from judge.text import UserError

NO_KEY = {"OPENAI_API_KEY": "", "JUDGE_BASE_URL": "", "OPENAI_BASE_URL": ""}


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    for name in NO_KEY:
        monkeypatch.delenv(name, raising=False)


def run(tmp_path, prompts, fake, **options):
    requests = write_requests(tmp_path / "requests.jsonl", prompts)
    return run_requests(requests, tmp_path / "results.jsonl", base_url=fake.url, first_pause=0.01, **options)


def names(tmp_path):
    return sorted(path.name for path in tmp_path.iterdir())


def test_fresh_keeps_journal_and_results_aside_each_time_under_a_new_number(tmp_path):
    with fake_judge() as fake:
        run(tmp_path, ["a"], fake)
        before = (tmp_path / "results.jsonl").read_text()
        outcome = run(tmp_path, ["a"], fake, fresh=True)
        assert "kept aside what was there" in outcome.notes[0] and "results.jsonl.bak1" in outcome.notes[0]
        run(tmp_path, ["a"], fake, fresh=True)
        assert len(fake.calls) == 3
    assert names(tmp_path) == [
        "requests.jsonl",
        "results.jsonl",
        "results.jsonl.bak1",
        "results.jsonl.bak2",
        "results.jsonl.journal",
        "results.jsonl.journal.bak1",
        "results.jsonl.journal.bak2",
    ]
    assert (tmp_path / "results.jsonl.bak1").read_text() == before


def test_results_without_a_journal_are_somebody_elses_and_kept_aside(tmp_path):
    (tmp_path / "results.jsonl").write_text("dear to me\n")
    with fake_judge() as fake:
        outcome = run(tmp_path, ["a"], fake)
    assert (tmp_path / "results.jsonl.bak1").read_text() == "dear to me\n"
    assert "results.jsonl.bak1" in outcome.notes[0] and len(lines_of(tmp_path / "results.jsonl")) == 1


def test_a_changed_request_file_is_said_with_its_numbers_and_left_out_answers_stay_in_the_journal(tmp_path):
    with fake_judge() as fake:
        run(tmp_path, ["a", "b", "c"], fake)
        outcome = run(tmp_path, ["b", "d"], fake)
        assert (outcome.reused, outcome.answered) == (1, 2)
        assert "of 3 answers" in outcome.notes[0] and "2 are to requests it no longer holds" in outcome.notes[0]
        assert run(tmp_path, ["a", "b", "c", "d"], fake).reused == 4
    assert [line[2]["id"] for line in lines_of(tmp_path / "results.jsonl")] == ["a", "b", "c", "d"]


def test_a_full_disk_is_one_line_and_what_was_answered_before_it_is_kept(tmp_path):
    """The limit on a file's size stands for the disk: the write fails in the middle of a line, as there."""
    prompts = [f"p{i}" for i in range(30)]
    requests = write_requests(tmp_path / "requests.jsonl", prompts)
    journal = tmp_path / "results.jsonl.journal"
    with fake_judge() as fake:
        given = command("run", requests, "--out", tmp_path / "results.jsonl", "--base-url", fake.url)
        most = 4000
        given["preexec_fn"] = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        # The index is a file too; it stays in memory while it is this small.
        done = subprocess.run(**given, timeout=250)
        assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
        assert f"judge: cannot write {journal}: File too large; " in done.stderr
        assert "make room and run the same command again" in done.stderr
        kept = lines_of(journal)
        assert 0 < len(kept) < 30 and journal.read_bytes().endswith(b"}\n")
        outcome = run_requests(requests, tmp_path / "results.jsonl", base_url=fake.url)
        assert (outcome.reused, outcome.answered) == (len(kept), 30)
        assert all(fake.prompts().count(entry["id"]) == 1 for entry in kept)


@pytest.mark.parametrize(
    "damage",
    [b'{"sha256": "half a li', b"\xff\xfe\n", b"[1]\n", b'{"sha256": 1, "endpoint": "e", "response": 1}\n', b"\n"],
)
def test_damaged_lines_are_passed_over_and_appending_goes_on(tmp_path, damage):
    path = tmp_path / "journal"
    journal = Journal(path, "e")
    journal.add("aa", 1, '{"x": "first"}')
    journal.close()
    with open(path, "ab") as file:
        file.write(damage)
    journal = Journal(path, "e")
    assert [journal.response_at(place) for _, place in journal.answers()] == ['{"x": "first"}']
    journal.add("bb", '", "response": "', '{"x": "second"}')
    assert [(key, journal.response_at(place)) for key, place in journal.answers()] == [
        ("aa", '{"x": "first"}'),
        ("bb", '{"x": "second"}'),
    ]
    journal.close()


def test_indented_and_odd_json_of_a_server_becomes_one_line(tmp_path):
    body = (
        '{\n  "choices": [\n    {"message": {"role": "assistant", "content": "a\\u2028b\\ud800 \u2028 한"}}\n  ]\n}\n'
    )
    with fake_judge({"a": [(200, body, {})], "b": [(200, completion("plain"), {})]}) as fake:
        run(tmp_path, ["a", "b"], fake)
        again = run(tmp_path, ["a", "b"], fake)
    assert again.reused == 2
    [first, second] = [line[1]["choices"][0]["message"]["content"] for line in lines_of_bytes(tmp_path)]
    assert first.startswith("a\u2028b") and first.endswith("한") and second == "plain"


def lines_of_bytes(tmp_path):
    import json

    return [json.loads(line) for line in (tmp_path / "results.jsonl").read_bytes().split(b"\n") if line]


def test_memory_does_not_grow_with_the_requests(tmp_path):
    """Of a file of 30 MB little more than SQLite's page cache stays in memory."""
    requests = write_requests(tmp_path / "requests.jsonl", [f"{i} " + "x" * 3000 for i in range(10_000)])
    program = """
import resource, sys
from judge.processor.requestfile import RequestFile
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
file = RequestFile(sys.argv[1])
number = sum(len(jobs) for jobs in file.waiting())
print(number, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program, requests], capture_output=True, text=True, env=environment, check=True
    )
    number, kilobytes = map(int, done.stdout.split())
    assert number == 10_000 and kilobytes < 15_000


def test_a_request_file_that_changes_under_a_run_is_one_line(tmp_path):
    path = write_requests(tmp_path / "requests.jsonl", ["a", "b"])
    file = RequestFile(path)
    path.write_text("short\n")
    with pytest.raises(UserError, match="was changed while the run was reading it"):
        list(file.waiting())


def test_requests_refused_for_rate_are_not_lost_however_few_attempts_they_have(tmp_path):
    """The well-known script spends five attempts in a moment here and loses what came too early."""
    refusal = (429, {"error": {"message": "slow down", "code": "rate_limit_exceeded"}}, {"retry-after": "0.02"})
    with fake_judge({f"p{i}": [refusal] * 6 for i in range(4)}) as fake:
        outcome = run(tmp_path, [f"p{i}" for i in range(12)], fake, max_attempts=2)
    assert (outcome.answered, outcome.failed) == (12, 0)


def test_one_refusal_does_not_stall_the_others(tmp_path):
    refusal = (429, {"error": {"message": "slow down", "code": "rate_limit_exceeded"}}, {"retry-after": "3"})
    with fake_judge({"p5": [refusal]}, delay=0.02) as fake:
        outcome = run(tmp_path, [f"p{i}" for i in range(40)], fake, rpm=60_000)
        refused = next(at for prompt, at in fake.calls if prompt == "p5")
        soon = [at for _, at in fake.calls if refused < at < refused + 2.5]
    assert outcome.answered == 40 and len(soon) > 20
    assert [at - refused >= 3 for prompt, at in fake.calls if prompt == "p5"] == [False, True]
