"""Formatting row by row: whole files never in memory, one line for a mistake, the same files however it is done."""

from __future__ import annotations

import csv
import io
import json
from functools import partial
from itertools import count, islice
from pathlib import Path

import pytest

from scripts.format import CHUNK, format_rows, training_line
from scripts.parallel import mapped
from scripts.prompts import PromptMaker
from scripts.runs import numbered_jsonl, stream_jsonl
from tests.conftest import SMOKE, stage

MAKER = PromptMaker("toy.txt", "{question}\nanswer:", "<end>\n", None)


def rows(path: Path, *lines: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = (line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines)
    path.write_text("".join(text + "\n" for text in texts), encoding="utf-8")
    return path


def row(id: object, **more: object) -> dict:
    return {"id": id, "question": f'"질문", {id}', "answer": "x", "context": "c"} | more


@pytest.mark.parametrize(
    "lines, told",
    [
        ([row(1), row(2, answer=None)], ["train.jsonl: row 2: no answer", "it has id, question"]),
        ([row(1), row(2), row("1")], ["train.jsonl: row 3: id '1' stands there twice"]),
        ([row(1), '{"id": 2, "ques'], ["train.jsonl:2: half-written or broken line"]),
        ([row(1), "[]"], ["train.jsonl:2: a row is a JSON object"]),
        ([], ["train.jsonl: empty; `make data RECIPE="]),
    ],
)
def test_a_broken_file_gives_one_line_and_no_half_written_result(tmp_path: Path, lines: list, told: list[str]) -> None:
    data = tmp_path / "ko_text2sql/smoke/data"
    rows(data / "train.jsonl", *lines)
    rows(data / "test.jsonl", row(1))
    done = stage(tmp_path, "format")
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert [part for part in told if part not in done.stderr] == [], done.stderr
    assert not list(tmp_path.rglob("*.part")) and not list(tmp_path.rglob("*.csv"))


def test_bytes_that_are_no_utf_8_are_told_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"id": 1}\n' + '{"id": "가"}\n'.encode("cp949"))
    with pytest.raises(Exception, match=r"rows\.jsonl:2: not UTF-8"):
        list(stream_jsonl(path))


def test_rows_are_read_as_they_are_asked_for(tmp_path: Path) -> None:
    path = rows(tmp_path / "rows.jsonl", row(1), "", row(2), "{broken")
    assert [number for number, _ in islice(stream_jsonl(path), 2)] == [1, 3]
    assert list(numbered_jsonl(rows(path, row(1), "", row(2)))) == [1, 3]


def test_endless_rows_become_lines_with_few_rows_under_way() -> None:
    asked = 0

    def endless():
        nonlocal asked
        for asked in count(1):
            yield row(asked)

    for given, line in enumerate(islice(mapped(partial(training_line, MAKER), endless(), 2, CHUNK), 6 * CHUNK), 1):
        assert asked - given <= 7 * CHUNK
        assert given % 500 or next(csv.reader([line.split("\n")[0]], strict=False))[0] == str(given)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_lines_are_those_that_csv_reads_back(tmp_path: Path, workers: int) -> None:
    path = rows(tmp_path / "rows.jsonl", *(row(number) for number in range(3 * CHUNK)))
    out = io.StringIO(newline="")
    format_rows(path, out, partial(training_line, MAKER), workers)
    assert list(csv.reader(out.getvalue().splitlines(keepends=True))) == [
        [str(number), f'"질문", {number}\nanswer:x<end>\n'] for number in range(3 * CHUNK)
    ]


def test_data_takes_the_number_of_rows_from_the_command(tmp_path: Path) -> None:
    for words, told, code in ((("--rows", "20"), "train: 20 rows", 0), (("--rows", "0"), "at least one row", 2)):
        done = stage(tmp_path, "data", *words, recipe=SMOKE)
        assert done.returncode == code and told in done.stdout + done.stderr, done.stderr
