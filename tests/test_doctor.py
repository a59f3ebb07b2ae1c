"""scripts/doctor.py: what it says of the machine, which recipes fit, and that it tells no secret."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from scripts import doctor
from scripts.recipe import ROOT, Needs

GOOD = {
    "task": "toy",
    "title": "[bold]Toy[/bold]",
    "model": "embedded:smollm2-135m-instruct",
    "data": {"files": {"train": "train.csv", "test": "test.csv"}},
    "prompt": {"end": "<end>"},
    "train": {"lr": 0.001, "batch_size": 1, "block_size": 64},
    "generate": {"column": "said"},
    "judge": {"model": "some-judge", "verdicts": {"exact": "exact"}},
    "hub": {"license": "mit"},
}
ROOMY = doctor.Room(gpus=(), memory_gb=15.8, disk_gb=50.0, hub=True)
T4 = doctor.Gpu("Tesla T4", gb=15.8, capability="7.5", bf16="no")


def run_doctor(*recipes: Path, code: str = "", **env: str) -> subprocess.CompletedProcess:
    start = ["-c", code] if code else ["-m", "scripts.doctor"]
    # A bare environment: the tester's own keys must not decide what these tests see.
    base = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *start, *map(str, recipes)]
    return subprocess.run(command, capture_output=True, text=True, env={**base, **env}, cwd=ROOT, timeout=60)


def recipe_file(tmp_path: Path, name: str, **changes: object) -> Path:
    path = tmp_path / f"{name}.yaml"
    path.write_text(yaml.safe_dump({**GOOD, **changes}), encoding="utf-8")
    return path


def value(output: str, name: str) -> str:
    """What the plain table says behind `name`."""
    return next(line.removeprefix(name).strip() for line in output.splitlines() if line.startswith(f"{name} "))


def test_it_says_what_the_machine_has_and_takes_no_time(tmp_path):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = run_doctor(recipe_file(tmp_path, "toy"))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert value(done.stdout, "python").startswith(f"{sys.version_info.major}.{sys.version_info.minor}.")
    assert value(done.stdout, "cores") == f"{doctor.threads()} usable of {os.cpu_count()}"
    assert " GB free at " in value(done.stdout, "disk")
    assert value(done.stdout, "torch") == doctor.package_version("torch")
    assert value(done.stdout, "git") in ("there", "no")
    assert "\x1b" not in done.stdout, "colours in a pipe"
    # Processor time, not the clock's: the machine may be busy with something else.
    assert (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime) < 5


def test_no_part_of_a_secret_is_printed(tmp_path):
    home = tmp_path / "hf"
    home.mkdir()
    (home / "token").write_text("hf_Quokka1Wombat2", encoding="utf-8")
    secrets = {
        "HF_TOKEN": "hf_Numbat3Dingo4",
        "OPENAI_API_KEY": "sk-Echidna5Possum6",
        "JUDGE_BASE_URL": "https://Bilby7:Potoroo8@judge.example:8443/Dunnart9/v1?key=Kowari0#Bettong1",
    }
    done = run_doctor(recipe_file(tmp_path, "toy"), **secrets, HF_HOME=str(home))
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr
    for name in ("HF_TOKEN", "hub login", "OPENAI_API_KEY"):
        assert value(said, name) == "set"
    assert value(said, "JUDGE_BASE_URL") == "https://judge.example"
    parts = "hf_ sk- Quokka Wombat Numbat Dingo Echidna Possum Bilby Potoroo 8443 Dunnart Kowari Bettong"
    assert [part for part in parts.split() if part in said] == []


def test_keys_that_are_missing_or_empty_are_not_set(tmp_path):
    done = run_doctor(recipe_file(tmp_path, "toy"), HF_TOKEN="", OPENAI_API_KEY="", JUDGE_BASE_URL="")
    for name in ("HF_TOKEN", "hub login", "OPENAI_API_KEY", "JUDGE_BASE_URL"):
        assert value(done.stdout, name) == "not set"


HIDDEN = "set, but not a plain http(s) URL"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:8100/v1", "http://127.0.0.1"),
        ("https://api.example.com/v1", "https://api.example.com"),
        ("https://key@api.example.com", "https://api.example.com"),
        ("http://[::1]:8100/v1", "http://::1"),
        ("sk-key-in-the-wrong-place", HIDDEN),
        ("sk-key.in.the.wrong.place/v1", HIDDEN),
        ("file:///etc/key", HIDDEN),
        ("https://user:pa/ss@host/v1", HIDDEN),
        ("https://user:pa#ss@host/v1", HIDDEN),
        ("https://user:pa?ss@host/v1", HIDDEN),
        ("http://[bold]key", "set, but not a URL"),
    ],
)
def test_of_a_judge_url_only_scheme_and_host_are_shown(url, expected):
    assert doctor.shown_url(url) == expected


@pytest.mark.parametrize(
    ("needs", "room", "reasons"),
    [
        ({}, ROOMY, []),
        ({"gpu_gb": 16}, ROOMY, ["needs a CUDA GPU with 16 GB, none seen"]),
        ({"gpu_gb": 16}, doctor.Room((T4,), 64, 64, True), []),
        (
            {"gpu_gb": 24},
            doctor.Room((T4,), 64, 64, True),
            ["needs a CUDA GPU with 24 GB, the largest has 15.8 GB"],
        ),
        ({"memory_gb": 16}, ROOMY, []),
        ({"memory_gb": 17}, ROOMY, ["needs 17 GB of memory, there are 15.8 GB"]),
        ({"disk_gb": 60}, ROOMY, ["needs 60 GB of disk, 50.0 GB are free"]),
        ({"hub": True}, ROOMY, []),
        (
            {"hub": True},
            doctor.Room((), 16, 50, False),
            ["needs the Hugging Face Hub, HF_HUB_OFFLINE is set (fits if its files are cached)"],
        ),
        (
            {"gpu_gb": 80, "memory_gb": 64, "disk_gb": 51},
            ROOMY,
            [
                "needs a CUDA GPU with 80 GB, none seen",
                "needs 64 GB of memory, there are 15.8 GB",
                "needs 51 GB of disk, 50.0 GB are free",
            ],
        ),
    ],
)
def test_a_recipe_that_does_not_fit_has_every_reason(needs, room, reasons):
    assert doctor.misfits(Needs(**needs), room) == reasons


def test_recipes_that_need_more_than_there_is_are_refused_with_the_reason(tmp_path):
    fits = recipe_file(tmp_path, "small")
    gpu = recipe_file(tmp_path, "big", needs={"gpu_gb": 9999})
    hub = recipe_file(tmp_path, "online", needs={"hub": True})
    # No GPU for this process, also on a machine that has some.
    done = run_doctor(fits, gpu, hub, CUDA_VISIBLE_DEVICES="", HF_HUB_OFFLINE="1")
    assert done.returncode == 0, "a recipe that does not fit is no mistake"
    assert value(done.stdout, str(fits)) == "yes"
    assert value(done.stdout, str(gpu)) == "no    needs a CUDA GPU with 9999 GB, none seen"
    assert value(done.stdout, str(hub)).startswith("no    needs the Hugging Face Hub")


def test_broken_recipes_are_rows_with_their_first_mistake_and_exit_code_1(tmp_path):
    two_mistakes = yaml.safe_dump({**GOOD, "traim": {}, "hub": {"license": 5}})
    broken = {
        "two-mistakes": (two_mistakes, "hub.license: expected a valid string, got 5"),
        "half-written": ("task: [toy\n", "not readable as YAML"),
        "empty": ("", "a recipe is a mapping"),
        "not-there": (None, "no such recipe"),
    }
    for name, (text, _) in broken.items():
        if text is not None:
            (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    fits = recipe_file(tmp_path, "fits")
    done = run_doctor(*(tmp_path / f"{name}.yaml" for name in broken), fits)
    assert done.returncode == 1
    assert done.stderr == ""
    for name, (_, mistake) in broken.items():
        row = value(done.stdout, str(tmp_path / f"{name}.yaml"))
        assert row.startswith("broken  ")
        assert mistake in row
    assert "traim" not in done.stdout, "the first mistake only; `python -m scripts.recipe` lists them all"
    assert value(done.stdout, str(fits)) == "yes", "the others are looked at all the same"


def test_without_arguments_it_looks_at_every_recipe_but_the_launch_files():
    found = doctor.all_recipes()
    assert found
    assert [path for path in found if path.parent.name in ("launch", "domains")] == []
    done = run_doctor(HF_HUB_OFFLINE="1")
    for path in found:
        assert value(done.stdout, str(path.relative_to(ROOT))).split()[0] in ("yes", "no", "broken")


def test_it_works_without_torch_and_says_so(tmp_path):
    hidden = "import runpy, sys; sys.modules['torch'] = None"
    without = f"{hidden}; runpy.run_module('scripts.doctor', run_name='__main__')"
    recipe = recipe_file(tmp_path, "big", needs={"gpu_gb": 1})
    done = run_doctor(recipe, code=without)
    assert done.returncode == 0, done.stderr
    assert value(done.stdout, "gpu") == "not looked for: torch is not installed; `make setup` installs it"
    assert value(done.stdout, str(recipe)).startswith("no")


def fake_torch(**cuda: object) -> SimpleNamespace:
    """Stands in for torch on a machine with GPUs; tests run where there are none."""
    mps = SimpleNamespace(is_available=lambda: False)
    return SimpleNamespace(cuda=SimpleNamespace(**cuda), backends=SimpleNamespace(mps=mps), __spec__="fake")


def old_driver() -> bool:
    import warnings

    warnings.warn("The NVIDIA driver on your system is too old (found version 11040).", stacklevel=1)
    return False


def no_context() -> bool:
    raise RuntimeError("CUDA unknown error")


def test_gpus_are_listed_with_memory_capability_and_bf16(monkeypatch):
    from contextlib import nullcontext

    cards = [
        SimpleNamespace(name="Tesla T4", total_memory=15_828_320_256, major=7, minor=5),
        SimpleNamespace(name="NVIDIA A100", total_memory=42_297_786_368, major=8, minor=0),
    ]
    current = []
    torch = fake_torch(
        is_available=lambda: True,
        device_count=lambda: len(cards),
        get_device_properties=cards.__getitem__,
        device=lambda number: current.append(number) or nullcontext(),
        is_bf16_supported=lambda including_emulation: including_emulation or cards[current[-1]].major >= 8,
    )
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setattr(doctor, "gpu_driver", lambda: True)
    found, rows = doctor.look_for_gpus()
    assert rows == [
        ("gpu 0", "Tesla T4, 15.8 GB, compute 7.5, bf16 no"),
        ("gpu 1", "NVIDIA A100, 42.3 GB, compute 8.0, bf16 yes"),
        ("mps", "no"),
    ]
    assert max(card.gb for card in found) == pytest.approx(42.3, abs=0.05)


@pytest.mark.parametrize(
    ("is_available", "said"),
    [
        (lambda: False, "none seen by torch"),
        (
            old_driver,
            "none seen by torch: The NVIDIA driver on your system is too old (found version 11040).",
        ),
        (no_context, "none seen by torch: CUDA unknown error"),
    ],
)
def test_why_torch_sees_no_gpu_is_said(monkeypatch, is_available, said):
    monkeypatch.setitem(sys.modules, "torch", fake_torch(is_available=is_available))
    monkeypatch.setattr(doctor, "gpu_driver", lambda: True)
    assert doctor.look_for_gpus() == ((), [("gpu", said), ("mps", "no")])


def test_a_torch_that_cannot_be_imported_is_no_crash(monkeypatch, tmp_path):
    (tmp_path / "torch.py").write_text("raise OSError('libcudart.so.12: cannot open shared object file')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(doctor, "gpu_driver", lambda: True)
    gpus, rows = doctor.look_for_gpus()
    assert gpus == ()
    assert rows == [("gpu", "not looked for: torch can't be imported: libcudart.so.12: cannot open shared object file")]


def test_runs_moved_elsewhere_are_measured_there(monkeypatch, tmp_path):
    monkeypatch.setenv("RUNS", str(tmp_path / "not" / "made" / "yet"))
    assert doctor.run_folder() == tmp_path


def test_a_container_limit_counts_where_it_is_smaller():
    total, free = doctor.memory_gb()
    assert 0 < free <= total


def test_the_scripts_know_no_task():
    words = ("SQL", "gen_sql", "db_id", "resolve_yn")
    scripts = sorted((ROOT / "scripts").rglob("*.py"))
    assert scripts
    found = [(path.name, word) for path in scripts for word in words if word in path.read_text(encoding="utf-8")]
    assert found == []
