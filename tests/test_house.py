"""README, Makefile and files say the same."""

from __future__ import annotations

import re
import subprocess

from tests.conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.M))
PROMISED = {"setup", "data", "format", "train", "generate", "judge", "report", "push"}
PROMISED |= {"lab", "smoke", "test", "lint", "clean", "doctor", "synthesize", "data-card", "push-data"}


def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return listed.stdout.split("\n")


def test_make_alone_lists_every_target_with_its_comment() -> None:
    listed = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"^make ([a-z-]+) ", listed, re.M)) == TARGETS
    assert PROMISED <= TARGETS


def test_each_make_target_that_the_readme_names_exists() -> None:
    named = set(re.findall(r"\bmake ([a-z-]+)\b", " ".join(re.findall(r"`[^`]+`|^make .*$", README, re.M))))
    assert named and named <= TARGETS


def test_each_path_that_the_readme_names_exists() -> None:
    paths = {path for path in re.findall(r"`([\w./-]+/[\w.-]*|[\w-]+\.(?:toml|lock)|Makefile)`", README)}
    paths |= set(re.findall(r"\]\(([^)#:]+)\)", README))
    made = (".venv/", "runs/")
    missing = [path for path in paths if not path.startswith(made) and not (ROOT / path).exists()]
    assert len(paths) > 15 and missing == []


def test_each_script_has_its_line_in_the_readme() -> None:
    scripts = [path for path in tracked() if re.fullmatch(r"scripts/(?!__init__)\w+\.(py|html\.jinja|md\.jinja)", path)]
    assert len(scripts) > 10
    assert [path for path in scripts if f"`{path}`" not in README] == []


def test_each_target_is_one_line() -> None:
    lines = MAKEFILE.splitlines()
    bodies = {line.split(":")[0]: 0 for line in lines if re.match(r"^[a-z-]+:", line)}
    target = None
    for line in lines:
        if re.match(r"^[a-z-]+:", line):
            target = line.split(":")[0]
        elif line.startswith("\t"):
            bodies[target] += 1
    assert set(bodies.values()) <= {0, 1}


def test_scripts_know_nothing_of_the_task() -> None:
    for path in sorted((ROOT / "scripts").glob("*.*")):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\bsql\b|gen_sql|db_id|resolve_yn", text, re.IGNORECASE), path.name


def test_the_judge_package_imports_nothing_of_the_rest() -> None:
    for path in (ROOT / "judge/src").rglob("*.py"):
        assert not re.search(r"^\s*(from|import) (scripts|recipes|torch|transformers)\b", path.read_text(), re.M), path


def test_the_lock_names_versions_and_hashes_and_no_host() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock and "index-url" not in lock and "find-links" not in lock
    entries = re.split(r"^(?=[a-z0-9])", lock, flags=re.M)[1:]
    assert len(entries) > 100
    assert all(re.match(r"[\w.-]+==\S+", entry) and "--hash=sha256:" in entry for entry in entries)
