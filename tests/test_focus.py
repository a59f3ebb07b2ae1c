"""Which tables the short prompt shows, and which training rows are left out for what it does not show."""

from __future__ import annotations

import pytest

from recipes.ko_text2sql.focus import focus
from recipes.ko_text2sql.rows import make, missing_from_prompt
from recipes.ko_text2sql.shorthand import shorten

TEAMS = "CREATE TABLE teams (team_id INT PRIMARY KEY, name TEXT, city TEXT);"
PLAYERS = (
    "CREATE TABLE players (player_id INT PRIMARY KEY, name TEXT, age INT, team_id INT, "
    "FOREIGN KEY (team_id) REFERENCES teams(team_id));"
)
GOALS = (
    "CREATE TABLE goals (goal_id INT PRIMARY KEY, player_id INT, minute INT, "
    "FOREIGN KEY (player_id) REFERENCES players(player_id));"
)
SCHEMA = "\n".join([TEAMS, PLAYERS, GOALS])


@pytest.mark.parametrize(
    ("gloss", "tables"),
    [
        ("players age 30 >=", ["players"]),
        ("age 30 >= name", ["players"]),  # `name` is a column of both, and players is already chosen
        ("minute 90", ["goals"]),
        ("goals teams per COUNT", ["goals", "teams", "players"]),  # players links the two
        ("players 호랑이팀", ["players", "teams"]),  # a word that no column claims may be a team's name
        ("city 서울 teams", ["teams"]),  # a value that its column claims brings nothing along
        ("nothing of the schema", ["teams", "players", "goals"]),
        ("", ["teams", "players", "goals"]),
    ],
)
def test_the_tables_a_gloss_speaks_of_are_shown_most_spoken_of_first(gloss: str, tables: list[str]) -> None:
    shown = [part.split("(")[0].strip() for part in focus(gloss, SCHEMA).split(")") if part.strip()]
    assert shown == tables


def test_text_that_is_no_schema_comes_back() -> None:
    assert focus("players", " {a} $b ") == "{a} $b"


def test_rows_whose_prompt_lacks_what_the_query_needs_are_found() -> None:
    row = {"id": "1", "context": SCHEMA, "question": "서른 살 넘는 선수 수", "answer": ""}
    assert missing_from_prompt(row | {"answer": "SELECT COUNT(*) FROM players WHERE age > 30"}) == []
    assert missing_from_prompt(row | {"answer": "SELECT COUNT(*) FROM goals"}) == ["goals"]
    assert missing_from_prompt(row | {"answer": "SELECT COUNT(*) FROM players WHERE age > 77"}) == ["77"]


def test_the_recipes_options_hold_for_every_training_row() -> None:
    rows = make(seed=1, train_rows=1000, longest_answer=100, answerable_only=True)["train"]
    assert len(rows) == len({row["id"] for row in rows}) == 1000
    assert max(len(shorten(row["answer"], row["context"])) for row in rows) <= 100
    assert [row["id"] for row in rows if missing_from_prompt(row)] == []
