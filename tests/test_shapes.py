"""A domain of one YAML file, without any question: it has rows, and each runs and finds something."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from pathlib import Path

import pytest
from judge.execution import run_golds

from recipes.ko_text2sql.cleaning import check
from recipes.ko_text2sql.domains import load_domains
from recipes.ko_text2sql.generator import SHARE
from recipes.ko_text2sql.rows import HERE, make
from recipes.ko_text2sql.shapes import shape_rows, shapes

CINEMA = """
db_id: 91
name: cinema
korean: 영화관
tables:
  theaters:
    korean: [영화관, 극장]
    english: [cinemas]
    columns:
      theater_id: {type: INT, role: key, korean: [영화관 번호]}
      name: {type: VARCHAR(50), role: label, korean: [이름, 지점명], values: [한강점, 서면점, 동성로점, 해운대점, 수원점]}
      region: {type: VARCHAR(20), role: category, korean: [지역], values: [서울, 부산, 대구, 경기]}
      opened_on: {type: DATE, role: date, korean: [개관일], values: ['2001-01-01', '2022-12-31']}
  films:
    korean: [영화, 작품]
    english: [movies]
    columns:
      film_id: {type: INT, role: key, korean: [영화 번호]}
      title: {type: VARCHAR(80), role: label, korean: [제목], values: [봄날의 기차, 달밤, 두 번째 바다, 서울 1984, 골목길]}
      genre: {type: VARCHAR(20), role: category, korean: [장르], values: [드라마, 액션, 공포, 희극]}
      minutes: {type: INT, role: number, kind: duration, unit: 분, korean: [상영 시간], values: [70, 200]}
      rating: {type: 'DECIMAL(2,1)', role: number, kind: score, unit: 점, nullable: true, korean: [평점], values: [1.0, 5.0]}
  screenings:
    korean: [상영]
    english: [showings]
    columns:
      screening_id: {type: INT, role: key, korean: [상영 번호]}
      theater_id: {type: INT, role: reference, references: theaters.theater_id, korean: [영화관 번호]}
      film_id: {type: INT, role: reference, references: films.film_id, korean: [영화 번호]}
      price: {type: INT, role: number, kind: price, unit: 원, korean: [관람료], values: [7000, 25000]}
      shown_on: {type: DATE, role: date, korean: [상영일], values: ['2023-01-01', '2024-12-31']}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the task's data, with one more domain and nothing else changed."""
    for name in ("domains", "questions"):
        shutil.copytree(HERE / name, tmp_path / name)
    shutil.copy(HERE / "test_rows.jsonl", tmp_path)
    (tmp_path / "domains" / "cinema.yaml").write_text(CINEMA, encoding="utf-8")
    return tmp_path


def test_a_new_domain_is_one_yaml_file(folder: Path) -> None:
    splits = make(seed=7, train_rows=5000, folder=folder)
    rows = [row for row in splits["train"] if row["db_id"] == 91]
    assert len(rows) > 150 and len({row["question"] for row in rows}) > 0.95 * len(rows)
    runs = run_golds(rows, instances=6)
    again = [row for row, run in zip(rows, runs, strict=True) if run.error or not run.non_empty]
    runs = run_golds(again, instances=40)
    assert [row for row, run in zip(again, runs, strict=True) if run.error or not run.non_empty] == []
    assert [row["question"] for row in rows if check(row)["faults"]] == []
    sentences = Counter(row["id"].split("-")[1] for row in rows)
    assert len(sentences) > 20
    assert splits["test"] == make(seed=0, train_rows=1)["test"]


def test_every_shape_fits_some_domain_and_its_letters_are_bound() -> None:
    made = Counter(row["id"].split("-")[1] for domain in load_domains().values() for row in shape_rows(domain))
    assert set(made) == {f"s{number}" for number in range(1, len(shapes()["shapes"]) + 1)}
    for domain in load_domains().values():
        for row in shape_rows(domain):
            assert not re.search(r"[{}<]", row["question"]) and not re.search(r"[{}]|''$", row["answer"]), row


def test_shapes_hold_the_features_that_hand_written_rows_have_few_of() -> None:
    queries = " ".join(shape["sql"] for shape in shapes()["shapes"])
    wanted = (
        "JOIN {q}",
        "EXISTS",
        "NOT IN",
        "CASE",
        "OVER (PARTITION",
        "UNION",
        "HAVING",
        "BETWEEN",
        "IS NULL",
        "AS others",
    )
    assert [word for word in wanted if word not in queries] == []


def test_no_sentence_of_a_shape_carries_more_than_its_share() -> None:
    rows = make(seed=0, train_rows=6000, shapes=True)["train"]
    sentence = {row["id"]: row["shape"] for domain in load_domains().values() for row in shape_rows(domain)}
    made = Counter(sentence[of] for row in rows if (of := row["id"].rpartition("-g")[0]) in sentence)
    assert len(made) > 80 and max(made.values()) <= SHARE * len(rows)
