"""scripts/data.py on people's own files: good ones are loaded whole, bad ones get one line and no harm."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from scripts import data
from scripts.recipe import run_main

RECIPE = """\
task: toy
title: A toy
model: embedded:smollm2-135m-instruct
data:
  files: {{train: {train}, test: {test}}}
  columns: {columns}
prompt: {{end: "<end>"}}
train: {{lr: 0.001, batch_size: 1, block_size: 64}}
generate: {{column: said}}
judge: {{model: some-judge, verdicts: {{exact: exact}}}}
hub: {{license: mit}}
"""
# Values that readers of tables like to guess at: leading zeros, dates, words for 'nothing', quotes, lines.
ROWS = [
    {"id": "001", "context": "CREATE TABLE t (a INT)", "question": "몇 개?", "answer": "0010"},
    {"id": "002", "context": "NA", "question": "null", "answer": "2024-01-02"},
    {
        "id": "1e3",
        "context": "두\n줄",
        "question": 'say "hi", twice',
        "answer": "SELECT a, b FROM t WHERE c = 'x'",
    },
    {"id": "True", "context": "", "question": "None", "answer": "nan"},
]
GOOD = "id,context,question,answer\n1,c,q,a\n2,c,q,a\n"


class Lab:
    """A recipe of its own in a folder, and the data stage run on it as its command runs it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
        self.folder, self.monkeypatch, self.capsys = folder, monkeypatch, capsys
        monkeypatch.setenv("RUNS", str(folder / "runs"))
        monkeypatch.chdir(folder)

    def write(self, name: str, content: str | bytes) -> None:
        (self.folder / name).write_bytes(content.encode() if isinstance(content, str) else content)

    def run(self, train: str, test: str, columns: str = "{}") -> tuple[int, str, str]:
        """Exit code, standard output and standard error; a traceback is an exception here."""
        self.write("toy.yaml", RECIPE.format(train=train, test=test, columns=columns))
        self.monkeypatch.setattr(sys, "argv", ["data", "toy.yaml"])
        code = 0
        try:
            run_main(data.main)
        except SystemExit as stop:
            code = stop.code
        said = self.capsys.readouterr()
        return code, said.out, said.err

    def made(self) -> dict[str, bytes]:
        """The files below `runs/`, by name."""
        return {path.name: path.read_bytes() for path in (self.folder / "runs").rglob("*") if path.is_file()}

    def rows(self, split: str) -> list[dict]:
        return [json.loads(line, parse_constant=_refuse) for line in self.made()[f"{split}.jsonl"].splitlines()]


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


@pytest.fixture
def lab(tmp_path, monkeypatch, capsys) -> Lab:
    return Lab(tmp_path, monkeypatch, capsys)


def csv_file(path: Path, rows: list[dict]) -> None:
    import csv

    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def jsonl_file(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def json_file(path: Path, rows: list[dict]) -> None:
    path.write_text(json.dumps(rows, ensure_ascii=False, indent=1), encoding="utf-8")


def parquet_file(path: Path, rows: list[dict]) -> None:
    import pandas as pd

    pd.DataFrame(rows).to_parquet(path)


WRITERS = {"csv": csv_file, "jsonl": jsonl_file, "json": json_file, "parquet": parquet_file}


@pytest.mark.parametrize(("kind", "writer"), WRITERS.items())
def test_good_files_of_every_kind_give_the_very_rows(lab: Lab, kind: str, writer: Callable):
    for split in ("train", "test"):
        writer(lab.folder / f"{split}.{kind}", ROWS)
    code, out, err = lab.run(f"train.{kind}", f"test.{kind}")
    assert (code, err) == (0, "")
    assert "train: 4 rows" in out
    assert lab.rows("train") == lab.rows("test") == ROWS
    assert sorted(lab.made()) == ["manifest.json", "test.jsonl", "train.jsonl"]


@pytest.mark.parametrize(("kind", "writer"), WRITERS.items())
def test_text_that_looks_like_numbers_stays_text(lab: Lab, kind: str, writer: Callable):
    rows = [{"id": f"00{n}", "context": "1.0", "question": f"2024010{n}", "answer": f"0{n}"} for n in (1, 2)]
    writer(lab.folder / f"rows.{kind}", rows)
    code, _, err = lab.run(f"rows.{kind}", f"rows.{kind}")
    assert (code, err) == (0, "")
    assert lab.rows("train") == rows


@pytest.mark.parametrize(("kind", "writer"), WRITERS.items())
def test_further_columns_come_along_whatever_they_are_called(lab: Lab, kind: str, writer: Callable):
    rows = [{**row, "created_at": "2024-01-02", "modified": "1700000000", "date": "2024-03-01"} for row in ROWS]
    writer(lab.folder / f"rows.{kind}", rows)
    code, _, err = lab.run(f"rows.{kind}", f"rows.{kind}")
    assert (code, err) == (0, "")
    assert lab.rows("train") == rows


def test_parquet_with_dates_lists_and_gaps_becomes_json(lab: Lab):
    import datetime

    rows = [{**ROWS[0], "on": datetime.date(2024, 1, 2), "tags": ["a", "b"], "score": 1.5, "note": None}]
    rows.append({**ROWS[1], "on": datetime.date(2024, 1, 3), "tags": [], "score": None, "note": "x"})
    parquet_file(lab.folder / "rows.parquet", rows)
    code, _, err = lab.run("rows.parquet", "rows.parquet")
    assert (code, err) == (0, "")
    first, second = lab.rows("train")
    assert (first["on"], first["tags"], first["score"], first["note"]) == (
        "2024-01-02",
        ["a", "b"],
        1.5,
        None,
    )
    assert (second["tags"], second["score"], second["note"]) == ([], None, "x")


@pytest.mark.parametrize("kind", ["csv", "jsonl", "json"])
def test_a_byte_order_mark_does_no_harm(lab: Lab, kind: str):
    path = lab.folder / f"rows.{kind}"
    WRITERS[kind](path, ROWS)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    code, _, err = lab.run(path.name, path.name)
    assert (code, err) == (0, "")
    assert lab.rows("train") == ROWS


def test_columns_map_the_sources_names(lab: Lab):
    own = [{"nr": row["id"], "input": row["context"], "ask": row["question"], "output": row["answer"]} for row in ROWS]
    jsonl_file(lab.folder / "own.jsonl", own)
    code, _, err = lab.run("own.jsonl", "own.jsonl", "{id: nr, context: input, question: ask, answer: output}")
    assert (code, err) == (0, "")
    assert lab.rows("test") == ROWS


@pytest.mark.parametrize("order", [["output", "answer"], ["answer", "output"]])
def test_a_mapped_column_wins_over_one_that_has_the_name_already(lab: Lab, order: list[str]):
    values = {"output": "the gold", "answer": "something else"}
    row = {"id": "1", "context": "c", "question": "q", **{name: values[name] for name in order}}
    jsonl_file(lab.folder / "own.jsonl", [row])
    code, _, err = lab.run("own.jsonl", "own.jsonl", "{answer: output}")
    # Refusing the clash would be as good; taking the other column would not.
    assert code == 2 or lab.rows("train")[0]["answer"] == "the gold", err


@pytest.mark.parametrize(("kind", "writer"), WRITERS.items())
def test_ids_are_made_when_missing_and_are_the_same_each_time(lab: Lab, kind: str, writer: Callable):
    writer(lab.folder / f"rows.{kind}", [{"question": row["question"], "answer": row["answer"]} for row in ROWS])
    assert lab.run(f"rows.{kind}", f"rows.{kind}")[0] == 0
    assert [row["id"] for row in lab.rows("train")] == ["train-1", "train-2", "train-3", "train-4"]
    assert [row["id"] for row in lab.rows("test")] == ["test-1", "test-2", "test-3", "test-4"]


def test_ids_that_are_numbers_become_text(lab: Lab):
    jsonl_file(lab.folder / "rows.jsonl", [{**ROWS[0], "id": 7}, {**ROWS[1], "id": 8}])
    assert lab.run("rows.jsonl", "rows.jsonl")[0] == 0
    assert [row["id"] for row in lab.rows("train")] == ["7", "8"]


def test_a_second_run_changes_nothing_and_a_changed_file_is_read_again(lab: Lab):
    lab.write("good.csv", GOOD)
    assert lab.run("good.csv", "good.csv")[0] == 0
    before = lab.made()
    code, out, _ = lab.run("good.csv", "good.csv")
    assert (code, "nothing has changed" in out) == (0, True)
    assert lab.made() == before
    lab.write("good.csv", GOOD + "3,c,q,a\n")
    assert lab.run("good.csv", "good.csv")[0] == 0
    assert len(lab.rows("train")) == 3


LINE = '{"id": "1", "question": "q", "answer": "a"}\n'

# File name, content (None: there is no such file), and what the one line must say besides the file's name.
BAD: dict[str, tuple[str, str | bytes | None, str]] = {
    "missing file": ("bad.csv", None, "no such file"),
    "missing jsonl": ("bad.jsonl", None, "no such file"),
    "unknown kind": ("bad.xlsx", b"PK\x03\x04", "expected one of"),
    "empty csv": ("bad.csv", "", "empty"),
    "empty jsonl": ("bad.jsonl", "", "empty"),
    "empty json": ("bad.json", "", "empty"),
    "empty parquet": ("bad.parquet", "", "empty"),
    "blank lines only, csv": ("bad.csv", "\n\n", ""),
    "blank lines only, jsonl": ("bad.jsonl", "\n \n", "empty"),
    "csv with a header alone": ("bad.csv", "id,question,answer\n", "empty"),
    "json with no rows": ("bad.json", "[]", "empty"),
    "csv without answer": ("bad.csv", "id,question\n1,q\n", "no answer"),
    "jsonl without answer": ("bad.jsonl", LINE + '{"id": "2", "question": "q"}\n', "2: no answer"),
    "json without answer": ("bad.json", '[{"id": "1", "question": "q"}]', "no answer"),
    "jsonl with a null answer": ("bad.jsonl", LINE + '{"id": "2", "answer": null}\n', "2: no answer"),
    "json with a null answer": (
        "bad.json",
        '[{"id": "1", "answer": "a"}, {"id": "2", "answer": null}]',
        "no answer",
    ),
    "half-written jsonl": ("bad.jsonl", LINE + '{"id": "2", "answ', ":2: half-written"),
    "broken jsonl in the middle": ("bad.jsonl", LINE + "{oops}\n" + LINE, ":2: "),
    "jsonl of lists": ("bad.jsonl", LINE + "[1, 2]\n", ":2: "),
    "half-written json": ("bad.json", '[{"id": "1", "answer": "a"}, {"id": "2", "ans', ""),
    "json of numbers": ("bad.json", "[1, 2]", ""),
    "json of one object": ("bad.json", '{"id": "1", "answer": "a"}', ""),
    "half-written csv line": ("bad.csv", "id,question,answer\n1,q,a\n2,q", "3"),
    "half-written csv quote": ("bad.csv", 'id,question,answer\n1,q,a\n2,q,"SELECT a', ""),
    "csv line with too many cells": ("bad.csv", "id,question,answer\n1,q,a\n2,q,SELECT a, b\n", "3"),
    "csv with too many cells in every line": ("bad.csv", "id,question,answer\n1,q,SELECT a, b\n", "2"),
    "half-written parquet": ("bad.parquet", b"PAR1\x00\x00", ""),
    "cp949 csv": ("bad.csv", "id,question,answer\n1,몇 개?,a\n".encode("cp949"), "not UTF-8"),
    "cp949 jsonl": ("bad.jsonl", LINE.encode() + LINE.replace("q", "개").encode("cp949"), ":2: not UTF-8"),
    "cp949 json": ("bad.json", '[{"id": "1", "question": "개", "answer": "a"}]'.encode("cp949"), "not UTF-8"),
    "repeated id, csv": ("bad.csv", "id,question,answer\n1,q,a\n2,q,a\n1,q,a\n", "'1'"),
    "repeated id, jsonl": ("bad.jsonl", LINE + LINE, "2: id '1'"),
    "repeated id, json": ("bad.json", f"[{LINE}, {LINE}]", "'1'"),
    "the same id as number and text": ("bad.jsonl", LINE + LINE.replace('"1"', "1"), "'1'"),
}


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize(("name", "content", "expected"), BAD.values(), ids=BAD)
def test_bad_input_gets_one_line_and_harms_nothing(lab: Lab, split: str, name: str, content, expected: str):
    lab.write("good.csv", GOOD)
    assert lab.run("good.csv", "good.csv")[0] == 0
    before = lab.made()
    lab.write("good.csv", GOOD.replace(",q,a", ",q,another"))
    if content is not None:
        lab.write(name, content)
    code, _, err = lab.run(**{"train": "good.csv", "test": "good.csv", split: name})
    assert code == 2, f"taken as good: {lab.made()[f'{split}.jsonl'][:200] if lab.made() else ''}"
    assert err.count("\n") == 1, err
    assert name in err, "the file to mend is named"
    assert expected in err.split(name, 1)[1]
    assert "you` makes it" not in err
    assert lab.made() == before, "what an earlier run made has changed"


def test_a_mapped_column_that_is_not_there_is_named_as_the_file_would_have_it(lab: Lab):
    lab.write("good.csv", GOOD)
    code, _, err = lab.run("good.csv", "good.csv", "{answer: output}")
    # The row has an `answer`, which the recipe does not mean; nothing may be trained on it unasked.
    assert code == 2
    assert "output" in err
    assert lab.made() == {}


def test_test_rows_that_have_changed_stop_the_stage_and_keep_the_earlier_files(lab: Lab):
    lab.write("good.csv", GOOD)
    assert lab.run("good.csv", "good.csv")[0] == 0
    before = lab.made()
    lab.write("good.csv", GOOD.replace(",q,a", ",q,another"))
    recipe = RECIPE.replace("  columns:", f'  test_sha256: "{"0" * 64}"\n  columns:')
    lab.monkeypatch.setattr(sys.modules[__name__], "RECIPE", recipe)
    code, _, err = lab.run("good.csv", "good.csv")
    assert code == 2
    assert "data.test_sha256" in err
    assert err.count("\n") == 1
    assert lab.made() == before


def test_an_option_that_the_function_does_not_know_is_one_line(lab: Lab):
    function = "recipes.ko_text2sql.rows:make"
    recipe = yaml.safe_load(RECIPE.format(train="a", test="b", columns="{}"))
    recipe["data"] = {"rows": function, "options": {"longst_answer": 85}}
    lab.write("toy.yaml", yaml.safe_dump(recipe))
    lab.monkeypatch.setattr(sys, "argv", ["data", "toy.yaml"])
    with pytest.raises(SystemExit) as stop:
        run_main(data.main)
    said = lab.capsys.readouterr().err
    assert (stop.value.code, said.count("\n")) == (2, 1)
    assert f"toy.yaml: data.options: {function}: got an unexpected keyword argument 'longst_answer'" in said


def test_as_a_command_it_exits_2_with_one_line_and_no_traceback(lab: Lab):
    import os
    import subprocess

    from scripts.recipe import ROOT

    lab.write("good.csv", GOOD)
    lab.write("toy.yaml", RECIPE.format(train="good.csv", test="gone.csv", columns="{}"))
    done = subprocess.run(
        [sys.executable, "-m", "scripts.data", str(lab.folder / "toy.yaml")],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "gone.csv" in done.stderr
