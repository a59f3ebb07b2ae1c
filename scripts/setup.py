"""Install the locked environment into `.venv/`, with uv where it is present and pip where not.

    python3 scripts/setup.py

Needs nothing but Python 3.11 or 3.12 itself. Does nothing when the lock has not changed since the last time.
TORCH_BACKEND=cpu|cu128|auto is passed on to uv, for machines that don't want the CUDA wheels (or want others).
PYTHON names another interpreter.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
DONE = VENV / "installed.sha256"
# What a TORCH_BACKEND replaces: torch itself and what only its CUDA build needs.
TORCH = re.compile(r"^(torch|triton|nvidia-[a-z0-9-]+|cuda-[a-z0-9-]+)==")


def main() -> None:
    backend = os.environ.get("TORCH_BACKEND", "")
    wanted = hashlib.sha256(backend.encode())
    for name in ("requirements.lock", "judge/pyproject.toml", "scripts/setup.py"):
        wanted.update((ROOT / name).read_bytes())
    if DONE.is_file() and DONE.read_text() == wanted.hexdigest():
        return
    started = time.monotonic()
    uv = shutil.which("uv")
    if backend and not uv:
        sys.exit("TORCH_BACKEND needs uv (pip install uv), or leave it out to install the default build of torch")
    if not (VENV / "bin" / "python").exists():
        run([interpreter(), "-m", "venv", *(["--without-pip"] if uv else []), str(VENV)])
    python = str(VENV / "bin" / "python")
    install = [uv, "pip", "install", "--python", python] if uv else [python, "-m", "pip", "install", "-q"]
    if not uv and not pip_of(python):
        run([python, "-m", "ensurepip"])
    print(f"installing requirements.lock into .venv with {'uv' if uv else 'pip'} (about 8 GB with CUDA wheels) …")
    with tempfile.TemporaryDirectory() as folder:
        lock = Path(folder) / "requirements.txt"
        lock.write_text(without_torch() if backend else (ROOT / "requirements.lock").read_text())
        # The lock is complete and its overrides contradict some packages' own pins, so nothing is resolved again.
        run([*install, "--no-deps", "--require-hashes", "-r", str(lock)])
    if backend:
        version = re.search(r"^torch==([0-9.]+)", (ROOT / "requirements.lock").read_text(), re.M)[1]
        run([*install, "--torch-backend", backend, f"torch=={version}"])
    run([*install, "--no-deps", "--no-build-isolation", "-e", str(ROOT / "judge")])
    DONE.write_text(wanted.hexdigest())
    print(f"set up in {time.monotonic() - started:.0f} s")


def without_torch() -> str:
    """The lock without the packages that TORCH_BACKEND chooses."""
    kept, skip = [], False
    for line in (ROOT / "requirements.lock").read_text().splitlines(keepends=True):
        if not line.startswith((" ", "#")):
            skip = bool(TORCH.match(line))
        if not skip:
            kept.append(line)
    return "".join(kept)


def pip_of(python: str) -> bool:
    return subprocess.run([python, "-m", "pip", "--version"], capture_output=True).returncode == 0


def interpreter() -> str:
    """A Python 3.11 or 3.12: PYTHON, this one, or what is on PATH."""
    found = [os.environ.get("PYTHON"), sys.executable, shutil.which("python3.11"), shutil.which("python3.12")]
    for name in filter(None, found):
        asked = "import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))"
        if subprocess.run([name, "-c", asked], check=False).returncode == 0:
            return name
    sys.exit("needs Python 3.11 or 3.12; install one, or name it: PYTHON=/path/to/python3.11 make setup")


def run(words: list[str]) -> None:
    code = subprocess.run(words, check=False, cwd=ROOT).returncode
    if code:
        sys.exit(f"set-up stopped: {' '.join(words[:4])} … ended with code {code}; `make setup` tries again")


if __name__ == "__main__":
    main()
