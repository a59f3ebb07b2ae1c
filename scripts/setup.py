"""Install the locked environment into `.venv/`, with uv: the one on PATH, or the lock's own, which pip installs first.

    python3 scripts/setup.py

Needs nothing but Python 3.11 or 3.12 itself. Does nothing when the lock has not changed since the last time.
TORCH_BACKEND=cpu|cu128|auto is passed on to uv, for machines that don't want the CUDA wheels (or want others).
Where uv can't be had (no wheel for the machine), pip does the whole, in ten times the time.
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
    if not (VENV / "bin" / "python").exists():
        run([interpreter(), "-m", "venv", str(VENV)])
    python = str(VENV / "bin" / "python")
    pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    # An environment that uv made has no pip, but the uv of the last set-up.
    uv = shutil.which("uv") or shutil.which("uv", path=str(VENV / "bin")) or install_uv(pip)
    if backend and not uv:
        sys.exit("TORCH_BACKEND needs uv, which could not be installed; leave it out to install the default torch")
    install = [uv, "pip", "install", "-q", "--compile-bytecode", "--python", python] if uv else pip
    print(f"installing requirements.lock into .venv with {'uv' if uv else 'pip'} (8 GB with CUDA wheels) …", flush=True)
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


def entries() -> list[str]:
    """The lock's entries: a package with its version and all its hashes each."""
    return re.split(r"^(?=[a-z0-9])", (ROOT / "requirements.lock").read_text(), flags=re.MULTILINE)


def without_torch() -> str:
    """The lock without the packages that TORCH_BACKEND chooses."""
    return "".join(entry for entry in entries() if not TORCH.match(entry))


def install_uv(pip: list[str]) -> str | None:
    """Install the lock's uv into .venv; its path, or None where that fails."""
    with tempfile.TemporaryDirectory() as folder:
        lock = Path(folder) / "requirements.txt"
        lock.write_text("".join(entry for entry in entries() if entry.startswith("uv==")))
        found = subprocess.run([*pip, "--no-deps", "--require-hashes", "-r", str(lock)], check=False, cwd=ROOT)
    return str(VENV / "bin" / "uv") if found.returncode == 0 else None


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
