"""What several test files use: the project's root, and one real smoke run of the whole line."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # Beside another worker's tests, threads that wait for one another take several times as long as one alone.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parent.parent
SMOKE = "recipes/ko_text2sql/smoke.yaml"


def offline(runs: Path) -> dict[str, str]:
    """The environment of a user with no key and no hub whose runs live in `runs`."""
    secrets = ("HF_TOKEN", "OPENAI_API_KEY", "OPENAI_BASE_URL", "JUDGE_BASE_URL", "HUB_REPO", "MAKEFLAGS", "MAKELEVEL")
    kept = {key: value for key, value in os.environ.items() if key not in secrets}
    return kept | {"RUNS": str(runs), "HF_HUB_OFFLINE": "1"}


def stage(runs: Path, name: str, *words: str, recipe: str = SMOKE) -> subprocess.CompletedProcess[str]:
    """Run one stage's script to its end."""
    command = [sys.executable, "-m", f"scripts.{name}", recipe, *words]
    return subprocess.run(command, cwd=ROOT, env=offline(runs), capture_output=True, text=True, check=False)


@dataclass(frozen=True)
class SmokeRun:
    runs: Path
    output: str

    @property
    def folder(self) -> Path:
        return self.runs / "ko_text2sql" / "smoke"


@pytest.fixture(scope="session")
def smoke_run(tmp_path_factory: pytest.TempPathFactory) -> SmokeRun:
    """`make smoke` from an empty runs folder, through real AutoTrain training to a report."""
    runs = tmp_path_factory.mktemp("runs")
    done = subprocess.run(["make", "smoke"], cwd=ROOT, env=offline(runs), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return SmokeRun(runs, done.stdout + done.stderr)
