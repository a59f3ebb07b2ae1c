"""A run that is killed or interrupted, and the one that goes on after it."""

import signal
import sys
import time

from fake_judge import command, fake_judge, lines_of, started, write_requests
from judge.parallel import run_requests

PROMPTS = [f"p{i}" for i in range(12)]


def judge_run(tmp_path, fake):
    requests = write_requests(tmp_path / "requests.jsonl", PROMPTS)
    out = tmp_path / "results.jsonl"
    return command("run", requests, "--out", out, "--base-url", fake.url, "--concurrency", 2)


def wait_until(true, process):
    """Also fails where the process ends early. A minute, since a busy machine may take long to start it."""
    end = time.monotonic() + 60
    while not true():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.02)


def finish(tmp_path, fake):
    with started(**judge_run(tmp_path, fake)) as process:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    return out


def test_after_a_kill_each_request_is_answered_exactly_once_and_none_is_sent_again(tmp_path):
    journal = tmp_path / "results.jsonl.journal"
    with fake_judge(hold_after=6) as fake:
        with started(**judge_run(tmp_path, fake)) as process:
            wait_until(lambda: len(fake.calls) == 8 and journal.read_bytes().count(b"\n") == 6, process)
            process.kill()
        fake.release.set()
        assert not (tmp_path / "results.jsonl").exists()
        kept = [entry["id"] for entry in lines_of(journal)]
        with open(journal, "a", encoding="utf-8") as file:
            file.write('{"sha256": "half a line, as a kill may le')
        out = finish(tmp_path, fake)
    assert "12 of 12 requests answered, 6 of them in earlier runs" in out
    assert [metadata["id"] for _, _, metadata in lines_of(tmp_path / "results.jsonl")] == PROMPTS
    assert all(fake.prompts().count(id) == 1 for id in kept)
    assert len(fake.calls) == 12 + 2  # the two answers that were on their way when the kill came are asked for again
    assert sorted(entry["id"] for entry in lines_of(journal)) == sorted(PROMPTS)


def test_ctrl_c_lets_what_is_in_flight_finish_and_exits_130(tmp_path):
    with fake_judge(hold_after=4) as fake:
        with started(**judge_run(tmp_path, fake)) as process:
            wait_until(lambda: len(fake.calls) == 6, process)
            process.send_signal(signal.SIGINT)
            said = ""
            while "once more to end at once" not in said:
                line = process.stderr.readline()
                assert line, said
                said += line
            fake.release.set()
            _, rest = process.communicate(timeout=60)
            assert process.returncode == 130
        assert "judge: interrupted: 6 of 12 requests answered; the same command goes on from here" in rest
        assert "Traceback" not in said + rest
        kept = [entry["id"] for entry in lines_of(tmp_path / "results.jsonl.journal")]
        assert sorted(kept) == sorted(fake.prompts())  # nothing that was sent is lost, nothing more was sent
        assert not (tmp_path / "results.jsonl").exists()
        run_requests(tmp_path / "requests.jsonl", tmp_path / "results.jsonl", base_url=fake.url)
        assert sorted(fake.prompts()) == sorted(PROMPTS)


def test_interrupting_a_notebook_lets_what_is_in_flight_finish(tmp_path):
    program = """
import asyncio, signal, sys
from judge.parallel import run_requests

async def cell():
    signal.signal(signal.SIGINT, signal.default_int_handler)  # as a kernel has it
    try:
        run_requests(sys.argv[1], sys.argv[2], base_url=sys.argv[3])
    except KeyboardInterrupt:
        print("interrupted")

asyncio.run(cell())
"""
    requests = write_requests(tmp_path / "requests.jsonl", [f"p{n}" for n in range(60)])
    with fake_judge(hold_after=4) as fake:
        given = command()
        given["args"] = [sys.executable, "-c", program, str(requests), str(tmp_path / "results.jsonl"), fake.url]
        with started(**given) as process:
            wait_until(lambda: len(fake.calls) > 4, process)
            time.sleep(0.3)  # what leaves now has left
            process.send_signal(signal.SIGINT)
            time.sleep(0.3)
            fake.release.set()
            said, wrong = process.communicate(timeout=60)
        assert said == "interrupted\n" and "Traceback" not in wrong, wrong
        kept = [entry["id"] for entry in lines_of(tmp_path / "results.jsonl.journal")]
        assert sorted(kept) == sorted(fake.prompts()) and 4 < len(kept) < 60


def test_a_second_ctrl_c_ends_at_once(tmp_path):
    with fake_judge(hold_after=1) as fake, started(**judge_run(tmp_path, fake)) as process:
        wait_until(lambda: len(fake.calls) == 3, process)
        process.send_signal(signal.SIGINT)
        while "once more to end at once" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=30)
        assert process.returncode == 130 and "Traceback" not in rest
