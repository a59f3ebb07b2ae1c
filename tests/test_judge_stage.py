"""What the judge stage leaves behind when it is ended without being asked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from tests.conftest import ROOT, SMOKE, offline

ROW = {
    "context": "CREATE TABLE players (id INT PRIMARY KEY, name TEXT, level INT);",
    "question": "레벨이 10 이상인 플레이어의 이름은?",
    "answer": "SELECT name FROM players WHERE level >= 10",
    "gen_sql": "SELECT name FROM players WHERE level > 10",
    "db_id": "game",
}


def test_a_judge_stage_that_is_killed_leaves_no_process_behind(tmp_path: Path) -> None:
    folder = tmp_path / "ko_text2sql/smoke/generate"
    folder.mkdir(parents=True)
    lines = "".join(json.dumps({"id": f"r{number}", **ROW}) + "\n" for number in range(300))
    for model in ("base", "tuned"):
        (folder / f"{model}.jsonl").write_text(lines, encoding="utf-8")
    command = [sys.executable, "-u", "-m", "scripts.judge", SMOKE]
    # A session of its own: only the stage itself is killed, and nobody else tells the others.
    process = subprocess.Popen(
        command, cwd=ROOT, env=offline(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        line = process.stdout.readline()
        assert "the local stand-in answers from execution" in line, line
        started = psutil.Process(process.pid)
        while len(below := started.children(recursive=True)) < 3:  # the server, the measure, a worker of it
            assert process.poll() is None
            time.sleep(0.1)
        process.kill()
        process.wait()
        _, alive = psutil.wait_procs(below, timeout=60)
        assert alive == []
    finally:
        for one in psutil.process_iter(["pid"]):
            if _session(one.pid) == process.pid:
                os.kill(one.pid, signal.SIGKILL)


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None
