"""Queries without the joins that foreign keys imply, and back."""

from __future__ import annotations

import pytest
from judge.exact import exact_match

from recipes.ko_text2sql.domains import HERE, ddl, load_domains
from recipes.ko_text2sql.rows import read
from recipes.ko_text2sql.shorthand import expand, finish, shorten

SCHEMA = """
CREATE TABLE teams (team_id INT PRIMARY KEY, name TEXT, city TEXT);
CREATE TABLE players (player_id INT PRIMARY KEY, name TEXT, age INT, team_id INT,
  FOREIGN KEY (team_id) REFERENCES teams(team_id));
CREATE TABLE goals (goal_id INT PRIMARY KEY, player_id INT, minute INT, assisted_by INT,
  FOREIGN KEY (player_id) REFERENCES players(player_id), FOREIGN KEY (assisted_by) REFERENCES players(player_id));
CREATE TABLE rules (rule_id INT PRIMARY KEY, body TEXT);
"""
PLAYERS_TEAMS = "players JOIN teams ON players.team_id = teams.team_id"
PAIRS = [
    (
        f"SELECT players.name FROM {PLAYERS_TEAMS} WHERE teams.city = '부산'",
        "SELECT name FROM players WHERE teams.city = '부산'",
    ),
    (  # what is counted is the table that no column speaks of
        f"SELECT teams.name, COUNT(*) FROM {PLAYERS_TEAMS} GROUP BY teams.name ORDER BY COUNT(*) DESC",
        "SELECT name, COUNT(players) FROM teams GROUP BY name ORDER BY COUNT(players) DESC",
    ),
    (  # but a count that stands first is of the FROM table
        f"SELECT COUNT(*) FROM {PLAYERS_TEAMS} WHERE teams.city = '부산'",
        "SELECT COUNT(*) FROM players WHERE teams.city = '부산'",
    ),
    (
        "SELECT name FROM teams WHERE city = '부산' AND team_id NOT IN (SELECT team_id FROM players)",
        "SELECT name FROM teams WHERE city = '부산' AND players IS NULL",
    ),
    (
        "SELECT name FROM players WHERE player_id IN (SELECT player_id FROM goals) OR age > 30",
        "SELECT name FROM players WHERE goals IS NOT NULL OR age > 30",
    ),
    (
        f"SELECT players.name FROM {PLAYERS_TEAMS} WHERE teams.city = '부산' AND players.player_id NOT IN "
        "(SELECT player_id FROM goals WHERE minute < 45)",
        "SELECT name FROM players WHERE teams.city = '부산' AND NOT EXISTS (SELECT goals WHERE minute < 45)",
    ),
    (  # a reference that is empty is said of the table it would refer to
        "SELECT name FROM players WHERE team_id IS NULL AND age > 30",
        "SELECT name FROM players WHERE teams IS NULL AND age > 30",
    ),
    (
        "SELECT COUNT(*) FROM players WHERE team_id IS NOT NULL",
        "SELECT COUNT(*) FROM players WHERE teams IS NOT NULL",
    ),
    (  # of two keys to one table the second is named
        "SELECT COUNT(*) FROM goals WHERE player_id IS NOT NULL AND assisted_by IS NULL",
        "SELECT COUNT(*) FROM goals WHERE players IS NOT NULL AND assisted_by IS NULL",
    ),
    (  # players link the two
        "SELECT COUNT(*) FROM goals JOIN players ON goals.player_id = players.player_id JOIN teams ON "
        "players.team_id = teams.team_id WHERE teams.name = '호랑이'",
        "SELECT COUNT(*) FROM goals WHERE teams.name = '호랑이'",
    ),
    (
        f"SELECT name FROM teams WHERE team_id NOT IN (SELECT players.team_id FROM {PLAYERS_TEAMS} WHERE teams.city = '서울')",
        "SELECT name FROM teams WHERE team_id NOT IN (SELECT players.team_id FROM players JOIN teams ON "
        "players.team_id = teams.team_id WHERE teams.city = '서울')",
    ),
    (
        "SELECT name FROM teams WHERE team_id IN (SELECT team_id FROM players WHERE age < 20 GROUP BY team_id HAVING COUNT(*) > 3)",
        "SELECT name FROM teams WHERE EXISTS (SELECT players WHERE age < 20 HAVING COUNT(*) > 3)",
    ),
    (  # the joined table that is counted, also where the conditions speak of it
        f"SELECT teams.name, COUNT(*) FROM {PLAYERS_TEAMS} WHERE players.age < 20 GROUP BY teams.name",
        "SELECT name, COUNT(players) FROM teams WHERE players.age < 20 GROUP BY name",
    ),
    (  # a subquery within a subquery, and a join in it
        "SELECT name FROM teams WHERE team_id IN (SELECT team_id FROM players WHERE age < 20 AND player_id IN (SELECT "
        "player_id FROM goals WHERE minute > 80))",
        "SELECT name FROM teams WHERE EXISTS (SELECT players WHERE age < 20 AND EXISTS (SELECT goals WHERE minute > 80))",
    ),
    (
        "SELECT name FROM players WHERE age > 30 AND team_id IN (SELECT team_id FROM teams WHERE city = '서울')",
        "SELECT name FROM players WHERE age > 30 AND EXISTS (SELECT teams WHERE city = '서울')",
    ),
]
AS_WRITTEN = [
    "SELECT name FROM players WHERE player_id IN (SELECT assisted_by FROM goals)",  # by a key that is not the first
    "SELECT name FROM teams WHERE team_id IN (SELECT team_id FROM players GROUP BY age HAVING COUNT(*) > 3)",
    "SELECT name FROM teams WHERE team_id IN (SELECT team_id FROM players LIMIT 3)",
    "SELECT name FROM players WHERE age IN (SELECT minute FROM goals)",
    "SELECT COUNT(*) FROM players WHERE age >= 30",
    "SELECT teams.name, COUNT(players.player_id) FROM teams LEFT JOIN players ON teams.team_id = players.team_id GROUP BY teams.name",
    "SELECT players.name FROM goals JOIN players ON goals.assisted_by = players.player_id",
    "SELECT T1.name FROM players AS T1 JOIN players AS T2 ON T1.team_id = T2.team_id WHERE T2.name = '김'",
    f"SELECT * FROM {PLAYERS_TEAMS}",
    "SELECT name FROM players WHERE NOT EXISTS (SELECT 1 FROM goals WHERE goals.player_id = players.player_id)",
    "no SQL at all (",
    "",
]


@pytest.mark.parametrize(("query", "short"), PAIRS)
def test_a_join_along_foreign_keys_is_left_out_and_comes_back(query: str, short: str) -> None:
    assert shorten(query, SCHEMA) == short
    assert exact_match(query, expand(short, SCHEMA))[0] == "yes"


@pytest.mark.parametrize("query", AS_WRITTEN)
def test_what_the_rules_could_not_give_back_stays_as_it_is(query: str) -> None:
    assert shorten(query, SCHEMA) == query
    assert expand(query, SCHEMA) == query


@pytest.mark.parametrize(
    ("text", "sql"),
    [
        ("SELECT city FROM players", "SELECT teams.city FROM players JOIN teams ON players.team_id = teams.team_id"),
        (
            "SELECT name FROM players JOIN teams WHERE city = '부산'",
            "SELECT players.name FROM players JOIN teams ON players.team_id = teams.team_id WHERE teams.city = '부산'",
        ),
        (
            f"SELECT name FROM {PLAYERS_TEAMS}",
            f"SELECT players.name FROM {PLAYERS_TEAMS}",
        ),
        # Rows of a table that is joined anyway, of one that no key leads to, of the table itself.
        ("SELECT age, COUNT(players) FROM players GROUP BY age", "SELECT age, COUNT(*) FROM players GROUP BY age"),
        ("SELECT name FROM players WHERE rules IS NULL", "SELECT name FROM players WHERE rules IS NULL"),
        ("SELECT name FROM players WHERE players IS NULL", "SELECT name FROM players WHERE players IS NULL"),
        ("SELECT name FROM teams WHERE EXISTS (SELECT rules WHERE body = 'x')",) * 2,
        ("SELECT name FROM teams WHERE EXISTS (SELECT name)",) * 2,
        # No key leads there: the model's text is not made to run by guessing.
        ("SELECT name FROM players WHERE rules.body = 'x'", "SELECT name FROM players WHERE rules.body = 'x'"),
        ("SELECT nothing FROM players", "SELECT nothing FROM players"),
        ("SELECT 1; DROP TABLE players", "SELECT 1; DROP TABLE players"),
        ("DELETE FROM players", "DELETE FROM players"),
        ("SELECT " + "(" * 3000, "SELECT " + "(" * 3000),
    ],
)
def test_what_a_model_leaves_out_is_joined_and_nothing_else_is_touched(text: str, sql: str) -> None:
    assert finish({"context": SCHEMA}, text) == sql


def test_without_declared_keys_a_key_of_the_same_name_joins() -> None:
    bare = "CREATE TABLE a (a_id INT, x TEXT); CREATE TABLE b (b_id INT, a_id INT, y TEXT);"
    assert (
        expand("SELECT x FROM a WHERE b.y = 'z'", bare) == "SELECT a.x FROM a JOIN b ON b.a_id = a.a_id WHERE b.y = 'z'"
    )


def test_a_reference_that_is_null_is_one_without_declared_keys_too() -> None:
    bare = "CREATE TABLE a (a_id INT, x TEXT); CREATE TABLE b (b_id INT, a_id INT, y TEXT);"
    assert expand("SELECT y FROM b WHERE a IS NULL", bare) == "SELECT y FROM b WHERE a_id IS NULL"
    assert expand("SELECT x FROM a WHERE b IS NULL", bare) == "SELECT x FROM a WHERE a_id NOT IN (SELECT a_id FROM b)"


def test_text_that_is_no_schema_changes_nothing() -> None:
    assert (
        expand("SELECT name FROM players WHERE teams.city = 1", "no DDL")
        == "SELECT name FROM players WHERE teams.city = 1"
    )


@pytest.mark.parametrize("name", [name for name in load_domains() if name != "game"])
def test_every_training_query_comes_back(name: str) -> None:
    domain = load_domains()[name]
    context = ddl(domain, list(domain["tables"]))
    answers = [row["answer"] for row in read(HERE / "questions" / f"{name}.jsonl")]
    lost = [answer for answer in answers if exact_match(answer, expand(shorten(answer, context), context))[0] != "yes"]
    assert lost == []
    joined = [answer for answer in answers if " JOIN " in answer]
    assert sum(shorten(answer, context) != answer for answer in joined) > 0.75 * len(joined)
