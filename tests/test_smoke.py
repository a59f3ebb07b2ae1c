"""The whole line for real, on a handful of rows: what a user finds afterwards, and what an interruption costs."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors import safe_open

from scripts.runs import sha256
from tests.conftest import ROOT, SMOKE, SmokeRun, offline, stage

pytestmark = pytest.mark.timeout(900)


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_row_keeps_its_id_the_whole_way(smoke_run: SmokeRun) -> None:
    ids = [row["id"] for row in rows(smoke_run.folder / "data/test.jsonl")]
    assert len(ids) == len(set(ids)) == 12
    for model in ("base", "tuned"):
        assert [row["id"] for row in rows(smoke_run.folder / f"generate/{model}.jsonl")] == ids
        with (smoke_run.folder / f"judge/{model}/verdicts.csv").open(encoding="utf-8-sig") as file:
            assert [row["id"] for row in csv.DictReader(file)] == ids


def test_training_leaves_an_adapter_in_safetensors_and_no_pickle(smoke_run: SmokeRun) -> None:
    adapter = smoke_run.folder / "train/adapter"
    assert (adapter / "adapter_model.safetensors").stat().st_size > 1_000_000
    pickles = [
        path for path in (smoke_run.folder / "train").rglob("*") if path.suffix in (".bin", ".pt", ".pth", ".pkl")
    ]
    assert pickles == []
    assert not (adapter / "tokenizer.model").exists()


def test_only_the_last_layers_have_an_adapter(smoke_run: SmokeRun) -> None:
    with safe_open(smoke_run.folder / "train/adapter/adapter_model.safetensors", "pt") as weights:
        layers = {int(re.search(r"layers\.(\d+)\.", name)[1]) for name in weights.keys()}  # noqa: SIM118
    assert layers == set(range(10, 30)), "lora_layers: 20 of the model's 30"


def test_the_loss_is_there_as_json_and_as_a_picture(smoke_run: SmokeRun) -> None:
    history = json.loads((smoke_run.folder / "train/loss.json").read_text())
    assert [row["step"] for row in history] == [1, 2, 3, 4]
    assert all(0 < row["loss"] < 20 for row in history)
    assert (smoke_run.folder / "train/loss.png").read_bytes().startswith(b"\x89PNG")


def test_training_prints_the_autotrain_command_that_says_the_same(smoke_run: SmokeRun) -> None:
    line = next(line for line in smoke_run.output.splitlines() if line.strip().startswith("autotrain llm --train"))
    for words in ("--peft", "--quantization int4", "--lora-r 16", "--batch-size 4", "--trainer sft"):
        assert words in line


def test_answers_say_whether_they_stopped_by_themselves(smoke_run: SmokeRun) -> None:
    for row in rows(smoke_run.folder / "generate/base.jsonl"):
        assert row["finish_reason"] in ("stop", "length")
        assert row["finish_reason"] == "stop" or row["answer_tokens"] == 32
        assert isinstance(row["gen_sql"], str) and row["prompt_tokens"] > 10


def test_the_summary_has_its_promised_shape(smoke_run: SmokeRun) -> None:
    summary = json.loads((smoke_run.folder / "report/summary.json").read_text())
    assert set(summary) == {"recipe", "models", "agreement", "seconds"}
    assert set(summary["models"]) == {"base", "tuned"}
    for model in summary["models"].values():
        assert set(model) == {"execution", "exact", "llm", "stopped"}
        for measure in ("execution", "exact", "llm"):
            assert set(model[measure]) == {"correct", "n", "rate", "ci95", "unscored"}
            assert model[measure]["n"] + model[measure]["unscored"] == 12
    assert set(summary["agreement"]) == {"kappa", "false_accept", "false_reject"}
    assert all(seconds >= 0 for seconds in summary["seconds"].values())


def test_the_stand_in_judge_is_named_wherever_its_verdicts_are_shown(smoke_run: SmokeRun) -> None:
    with (smoke_run.folder / "judge/tuned/verdicts.csv").open(encoding="utf-8-sig") as file:
        assert {row["judge_model"] for row in csv.DictReader(file)} == {"local-execution"}
    assert "by construction" in (smoke_run.folder / "report/report.html").read_text(encoding="utf-8")


def test_running_it_again_does_nothing(smoke_run: SmokeRun) -> None:
    before = {path: path.stat().st_mtime_ns for path in smoke_run.folder.rglob("*") if path.is_file()}
    for name in ("data", "format", "train", "generate", "judge", "report"):
        done = stage(smoke_run.runs, name)
        assert done.returncode == 0 and "nothing has changed" in done.stdout, done.stdout + done.stderr
    assert {path: path.stat().st_mtime_ns for path in smoke_run.folder.rglob("*") if path.is_file()} == before


def test_rows_of_ones_own_are_scored_for_both_models(smoke_run: SmokeRun, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(smoke_run.runs, runs)
    mine = tmp_path / "mine.jsonl"
    mine.write_text("".join(json.dumps(row) + "\n" for row in rows(smoke_run.folder / "data/test.jsonl")[:2]))
    done = stage(runs, "score", "--rows", str(mine))
    assert done.returncode == 0, done.stderr
    assert re.search(r"mine.jsonl, tuned: [\d.]+ % \(\d of 2;", done.stdout)
    folder = runs / smoke_run.folder.relative_to(smoke_run.runs) / "score/mine"
    found = json.loads((folder / "score.json").read_text())["models"]
    right = sum(row["execution"] == "yes" for row in rows(folder / "tuned-execution.jsonl"))
    assert found["tuned"]["correct"] == right and found["base"]["n"] == 2
    assert [row["id"] for row in rows(folder / "base.jsonl")] == [row["id"] for row in rows(mine)]


def test_without_rows_those_that_the_recipe_names_are_scored_and_here_it_names_none(smoke_run: SmokeRun) -> None:
    done = stage(smoke_run.runs, "score")
    assert done.returncode == 0 and "judge.also names no further rows" in done.stdout, done.stdout + done.stderr
    assert not (smoke_run.folder / "score").exists()


def test_rows_of_ones_own_are_answered(smoke_run: SmokeRun, tmp_path: Path) -> None:
    mine, out = tmp_path / "mine.jsonl", tmp_path / "out.jsonl"
    row = {"id": "mine-1", "context": "CREATE TABLE cats (name TEXT, age INT);", "question": "고양이 {몇} 마리 $1?"}
    mine.write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")
    done = stage(smoke_run.runs, "generate", "--model", "tuned", "--rows", str(mine), "--out", str(out))
    assert done.returncode == 0, done.stderr
    answer = rows(out)[0]
    assert answer["id"] == "mine-1" and answer["question"] == row["question"] and "gen_sql" in answer


def killed_when(runs: Path, name: str, ready: Path) -> None:
    """Start a stage in a process group of its own and SIGKILL the stage once `ready` is there."""
    command = [sys.executable, "-m", f"scripts.{name}", SMOKE]
    process = subprocess.Popen(
        command, cwd=ROOT, env=offline(runs), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    for _ in range(6000):
        if ready.exists() and ready.stat().st_size:
            break
        assert process.poll() is None, f"{name} ended before it could be killed"
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def test_a_killed_run_goes_on_and_ends_the_same(smoke_run: SmokeRun, tmp_path: Path) -> None:
    folder = tmp_path / "ko_text2sql/smoke"
    for part in ("data", "format"):
        shutil.copytree(smoke_run.folder / part, folder / part)
    killed_when(tmp_path, "train", folder / "train/adapter/checkpoint-2/trainer_state.json")
    assert not (folder / "train/manifest.json").exists()
    done = stage(tmp_path, "train")
    assert done.returncode == 0 and "going on from the last checkpoint" in done.stdout, done.stdout + done.stderr
    adapter = "train/adapter/adapter_model.safetensors"
    assert sha256(folder / adapter) == sha256(smoke_run.folder / adapter)

    killed_when(tmp_path, "generate", folder / "generate/base.jsonl.journal")
    assert not (folder / "generate/base.jsonl").exists()
    assert stage(tmp_path, "generate").returncode == 0
    for model in ("base", "tuned"):
        assert sha256(folder / f"generate/{model}.jsonl") == sha256(smoke_run.folder / f"generate/{model}.jsonl")

    killed_when(tmp_path, "judge", folder / "judge/base/results.jsonl.journal")
    assert stage(tmp_path, "judge").returncode == 0
    for model in ("base", "tuned"):
        verdicts = f"judge/{model}/verdicts.csv"
        assert sha256(folder / verdicts) == sha256(smoke_run.folder / verdicts)


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("data", ["data/train.jsonl", "data/test.jsonl"]),
        ("format", ["format/train.csv", "format/test.jsonl"]),
        ("report", ["report/report.html"]),
    ],
)
def test_a_short_stage_killed_at_any_moment_leaves_nothing_half_done(
    smoke_run: SmokeRun, tmp_path: Path, name: str, made: list[str]
) -> None:
    folder = tmp_path / "ko_text2sql/smoke"
    shutil.copytree(smoke_run.folder, folder, ignore=shutil.ignore_patterns("adapter"))
    shutil.rmtree(folder / name)
    command = [sys.executable, "-m", f"scripts.{name}", SMOKE]
    for seconds in (0.3, 0.8, 1.5):
        process = subprocess.Popen(command, cwd=ROOT, env=offline(tmp_path), stdout=subprocess.DEVNULL)
        time.sleep(seconds)
        process.kill()
        process.wait()
    done = stage(tmp_path, name)
    assert done.returncode == 0, done.stderr
    for file in made:
        assert sha256(folder / file) == sha256(smoke_run.folder / file)
    assert not list(folder.rglob("*.part"))


def test_a_training_that_fails_is_a_failed_command_with_the_reason_last(smoke_run: SmokeRun, tmp_path: Path) -> None:
    recipe = tmp_path / "short.yaml"
    recipe.write_text(
        f"extends: {ROOT / SMOKE}\nprompt: {{template: {ROOT}/recipes/ko_text2sql/prompt-short.txt}}\n"
        "train: {block_size: 16}\n"
    )
    shutil.copytree(smoke_run.folder / "format", tmp_path / "ko_text2sql/short/format")
    done = stage(tmp_path, "train", recipe=str(recipe))
    assert done.returncode == 2
    assert "block_size is 16" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
