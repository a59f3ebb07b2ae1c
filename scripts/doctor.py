"""Say what this machine has, and which recipes fit it.

    python -m scripts.doctor                                                 # all recipes
    python -m scripts.doctor recipes/ko_text2sql/smollm2-135m-cpu.yaml       # these only

Nothing is sent anywhere, so whether the Hub or a judge can be reached is not known here. Of keys and tokens
only 'set' or 'not set' is shown. Sizes are in GB of 10^9 bytes, as on the box. Exit code 1 when a recipe is
broken.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

from scripts.models import threads
from scripts.recipe import ROOT, Needs, UserError, all_recipes, load_recipe, run_main, shown

PACKAGES = ("torch", "transformers", "autotrain-advanced", "bitsandbytes")
TOOLS = {
    "git": ("git",),
    "make": ("make", "gmake"),
    "uv": ("uv",),
    "chromium": ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"),
}
# What a feature is called in the kernel's list of CPU flags. AMX counts when it multiplies 16-bit floats.
CPU_FEATURES = {
    "x86": {"avx2": "avx2", "avx512f": "avx512f", "avx512_bf16": "avx512_bf16", "amx": "amx_bf16"},
    "arm": {"asimd": "asimd", "bf16": "bf16"},
}


@dataclass(frozen=True)
class Gpu:
    name: str
    gb: float
    capability: str
    bf16: str


@dataclass(frozen=True)
class Room:
    """What recipes ask for: sizes in GB, GPUs as torch sees them, `hub` false where HF_HUB_OFFLINE is set."""

    gpus: tuple[Gpu, ...]
    memory_gb: float
    disk_gb: float
    hub: bool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("recipes", nargs="*", type=Path, metavar="RECIPE", help="recipe files (default: all)")
    files = parser.parse_args().recipes or all_recipes()
    gpus, gpu_rows = look_for_gpus()
    memory, memory_free = memory_gb()
    room = Room(gpus, memory, disk_gb(run_folder()), hub=not offline(os.environ))
    show(
        "Machine",
        ("what", "value"),
        [
            *system_rows(),
            ("memory", f"{memory:.1f} GB, {memory_free:.1f} GB free"),
            ("disk", f"{room.disk_gb:.1f} GB free at {run_folder()}"),
            *gpu_rows,
            *((name, package_version(name)) for name in PACKAGES),
            *((tool, "there" if any(map(shutil.which, names)) else "no") for tool, names in TOOLS.items()),
            *access_rows(os.environ),
        ],
    )
    rows = [recipe_row(path, room) for path in files]
    show("Recipes", ("recipe", "fits", "why not"), rows)
    sys.exit(1 if any(verdict == "broken" for _, verdict, _ in rows) else 0)


def recipe_row(path: Path, room: Room) -> tuple[str, str, str]:
    """A recipe's name, whether it fits ('yes', 'no', 'broken'), and the reasons or its first mistake."""
    try:
        recipe = load_recipe(path)
    except (UserError, OSError) as error:
        mistake = str(error).split("\n")[0]
        return shown(path), "broken", mistake.removeprefix(f"{shown(path.resolve())}: ")
    reasons = misfits(recipe.needs, room)
    return recipe.shown, "no" if reasons else "yes", "; ".join(reasons)


def misfits(needs: Needs, room: Room) -> list[str]:
    """What a recipe needs and the machine lacks, one reason an entry; empty where it fits.

    Sizes are rounded to whole GB first: a '16 GB' T4 has 15.8 for its programs, a '24 GB' L4 23.8.
    """
    reasons = []
    largest = max((gpu.gb for gpu in room.gpus), default=0)
    if needs.gpu_gb and not room.gpus:
        reasons.append(f"needs a CUDA GPU with {needs.gpu_gb} GB, none seen")
    elif needs.gpu_gb > round(largest):
        reasons.append(f"needs a CUDA GPU with {needs.gpu_gb} GB, the largest has {largest:.1f} GB")
    if needs.memory_gb > round(room.memory_gb):
        reasons.append(f"needs {needs.memory_gb} GB of memory, there are {room.memory_gb:.1f} GB")
    if needs.disk_gb > round(room.disk_gb):
        reasons.append(f"needs {needs.disk_gb} GB of disk, {room.disk_gb:.1f} GB are free")
    if needs.hub and not room.hub:
        reasons.append("needs the Hugging Face Hub, HF_HUB_OFFLINE is set (fits if its files are cached)")
    return reasons


def system_rows() -> list[tuple[str, str]]:
    model, flags = cpu()
    family = CPU_FEATURES["arm" if platform.machine().lower() in ("arm64", "aarch64") else "x86"]
    features = [f"{name} {'yes' if flag in flags else 'no'}" for name, flag in family.items()]
    return [
        ("system", f"{platform.system()} {platform.release()}, {platform.machine()}"),
        ("python", f"{platform.python_version()} ({sys.executable})"),
        ("cpu", model),
        ("cores", f"{threads()} usable of {os.cpu_count()}"),
        ("cpu features", ", ".join(features) if flags else "not known on this system"),
    ]


def cpu() -> tuple[str, set[str]]:
    """The CPU's model and its feature flags in Linux's spelling; no flags where the system does not tell."""
    model = platform.processor() or platform.machine()
    if platform.system() == "Darwin":
        arm = platform.machine() == "arm64"
        flags = set(sysctl("machdep.cpu.features", "machdep.cpu.leaf7_features").lower().split())
        if arm:
            flags = {"asimd", "bf16"} if sysctl("hw.optional.arm.FEAT_BF16") == "1" else {"asimd"}
        return sysctl("machdep.cpu.brand_string") or model, flags
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return model, set()
    # Arm kernels give no model name; the machine's own name for itself has to do.
    named = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    listed = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
    return named[1].strip() if named else model, set(listed[1].split()) if listed else set()


def sysctl(*names: str) -> str:
    try:
        done = subprocess.run(["sysctl", "-n", *names], capture_output=True, text=True, timeout=2)
        return done.stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def memory_gb() -> tuple[float, float]:
    """Memory in all and free, in GB; a container's limit counts where it is the smaller."""
    import psutil

    memory = psutil.virtual_memory()
    limits = [memory.total]
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            limits.append(int((Path("/sys/fs/cgroup") / name).read_text()))
        except (OSError, ValueError):  # not there, or 'max'
            continue
    return min(limits) / 1e9, min(memory.available, *limits) / 1e9


def run_folder() -> Path:
    """The folder that runs are written below: the repository, unless RUNS moves them."""
    folder = Path(os.environ.get("RUNS", ROOT)).absolute()
    return next(path for path in (folder, *folder.parents) if path.is_dir())


def disk_gb(folder: Path) -> float:
    return shutil.disk_usage(folder).free / 1e9


def look_for_gpus() -> tuple[tuple[Gpu, ...], list[tuple[str, str]]]:
    """The CUDA (or ROCm) GPUs that torch sees, and the rows that say so, or why none could be looked for."""
    if importlib.util.find_spec("torch") is None:
        return (), [("gpu", "not looked for: torch is not installed; `make setup` installs it")]
    if not gpu_driver():
        # Importing torch takes seconds, and without a driver it has nothing to add.
        return (), [("gpu", "none: this system has no GPU driver")]
    try:
        import torch
    except (ImportError, OSError) as error:  # half installed, or built for another CUDA
        return (), [("gpu", f"not looked for: torch can't be imported: {str(error).splitlines()[0]}")]
    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        found = tuple(gpu(torch, number) for number in range(count_gpus(torch)))
    rows = [
        (f"gpu {number}", f"{card.name}, {card.gb:.1f} GB, compute {card.capability}, bf16 {card.bf16}")
        for number, card in enumerate(found)
    ]
    if not found:
        # An old driver only makes torch warn; without its words people would look for the card.
        said = [str(complaint.message).strip().split("\n")[0] for complaint in complaints]
        rows = [("gpu", ": ".join(["none seen by torch", *said[:1]]))]
    return found, [*rows, ("mps", "yes" if torch.backends.mps.is_available() else "no")]


def gpu_driver() -> bool:
    """Whether there can be a GPU: on Linux CUDA needs its driver's library, ROCm its device. Quick."""
    if platform.system() != "Linux" or Path("/dev/kfd").exists():
        return True
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def count_gpus(torch) -> int:
    try:
        return torch.cuda.device_count() if torch.cuda.is_available() else 0
    except RuntimeError as error:
        warnings.warn(str(error), stacklevel=1)
        return 0


def gpu(torch, number: int) -> Gpu:
    card = torch.cuda.get_device_properties(number)
    with torch.cuda.device(number):
        bf16 = "yes" if torch.cuda.is_bf16_supported(including_emulation=False) else "no"
    return Gpu(card.name, card.total_memory / 1e9, f"{card.major}.{card.minor}", bf16)


def package_version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def access_rows(env: Mapping[str, str]) -> list[tuple[str, str]]:
    """Which keys and tokens are there. Their values go nowhere, not even in part."""
    home = Path(env.get("HF_HOME") or Path(env.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface")
    login = Path(env.get("HF_TOKEN_PATH") or home / "token").expanduser()
    return [
        ("HF_TOKEN", _set(env.get("HF_TOKEN"))),
        ("hub login", _set(login.is_file() and login.stat().st_size)),
        ("HF_HUB_OFFLINE", _set(offline(env))),
        ("OPENAI_API_KEY", _set(env.get("OPENAI_API_KEY"))),
        ("JUDGE_BASE_URL", shown_url(env["JUDGE_BASE_URL"]) if env.get("JUDGE_BASE_URL") else "not set"),
    ]


def _set(value: object) -> str:
    return "set" if value else "not set"


def offline(env: Mapping[str, str]) -> bool:
    return env.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def shown_url(url: str) -> str:
    """Scheme and host of a URL, and nothing of the rest, which may hold a user, a password or a key.

    Where the parts can't be told apart for certain (a bare `/`, `?` or `#` in a password), nothing is shown.
    """
    try:
        parts = urlsplit(url.strip())
        host = parts.hostname or ""
    except ValueError:
        return "set, but not a URL"
    stray = "@" in parts.path + parts.query + parts.fragment
    if parts.scheme not in ("http", "https") or stray or not re.fullmatch(r"[a-z0-9.:_-]+", host):
        return "set, but not a plain http(s) URL"
    return f"{parts.scheme}://{host}"


def show(title: str, header: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """A table on a terminal; elsewhere plain aligned columns, never cut or wrapped, for grep's sake."""
    from rich.box import ROUNDED
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    plain = not console.is_terminal
    if plain:
        console = Console(width=10_000, no_color=True)
    table = Table(title=title, title_justify="left", box=None if plain else ROUNDED, pad_edge=not plain)
    colours = {"yes": "green", "no": "yellow", "broken": "red"}
    for name in header:
        table.add_column(name, overflow="fold")
    for row in rows:
        # Text, not str: names and messages hold brackets, which rich would read as its own markup.
        table.add_row(*(Text(cell, style=colours.get(cell, "")) for cell in row))
    console.print(table)


if __name__ == "__main__":
    run_main(main)
