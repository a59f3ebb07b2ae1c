"""A user's mistake gets one clear line and exit code 2, and loses nothing already done."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT, SMOKE, stage


def says(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    assert done.returncode == 2, done.stdout + done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert all(part in last for part in parts), last
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "words", "parts"),
    [
        ("format", (), ("data/train.jsonl", "no such file", f"make data RECIPE={SMOKE}")),
        ("train", (), ("format/train.csv", "no such file", f"make format RECIPE={SMOKE}")),
        ("generate", ("--model", "base"), ("format/test.jsonl", f"make format RECIPE={SMOKE}")),
        ("judge", (), ("generate/base.jsonl", f"make generate RECIPE={SMOKE}")),
        ("report", (), ("make data",)),
        ("push", (), ("make train",)),
    ],
)
def test_a_stage_that_comes_too_early_names_the_one_that_is_missing(name, words, parts, tmp_path: Path) -> None:
    says(stage(tmp_path, name, *words), *parts)


@pytest.mark.parametrize(
    ("model", "parts"),
    [
        ("./nowhere", ("model: no model in", "nowhere")),
        ("embedded:gpt-5", ("no embedded model 'gpt-5'", "embedded:smollm2-135m-instruct")),
    ],
)
def test_a_missing_base_model_is_named(model: str, parts: tuple[str, ...], tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    template = ROOT / "recipes/ko_text2sql/prompt-short.txt"
    recipe.write_text(f"extends: {ROOT / SMOKE}\nmodel: {model}\nprompt: {{template: {template}}}\n")
    texts = tmp_path / "ko_text2sql/mine/format/train.csv"
    texts.parent.mkdir(parents=True)
    texts.write_text("id,text\n1,a\n")
    says(stage(tmp_path, "train", recipe=str(recipe)), "mine.yaml", *parts)


def test_rows_without_the_columns_that_the_prompt_needs_are_named(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"id": "1", "context": "CREATE TABLE t (a INT)"}\n')
    out = tmp_path / "out.jsonl"
    says(
        stage(tmp_path, "generate", "--model", "base", "--rows", str(rows), "--out", str(out)), "rows.jsonl", "question"
    )
    assert not out.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_full_disk_is_one_line_and_what_was_there_stays(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.fail(f"could not mount a small disk: {mounted.stderr!r}")
    try:
        kept = disk / "ko_text2sql/smoke/data/test.jsonl"
        kept.parent.mkdir(parents=True)
        kept.write_text('{"id": "kept"}\n')
        says(stage(disk, "data"), "no space left on the disk")
        assert kept.read_text() == '{"id": "kept"}\n'
    finally:
        subprocess.run(["umount", str(disk)], check=True)
