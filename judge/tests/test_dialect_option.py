"""--dialect as a user meets it: a name that people use is taken, one that nobody knows is told at once."""

import json

import pytest
from judge.cli import known_dialect, main
from judge.text import UserError, write_jsonl

SCHEMA = "CREATE TABLE players (player_id INT PRIMARY KEY, username VARCHAR(50), level INT);"
GOLD = "SELECT username FROM players WHERE level > 10"
ROW = {"id": 1, "context": SCHEMA, "question": "레벨이 10 초과인 유저는?", "answer": GOLD, "gen_sql": GOLD}
COMMANDS = [
    "execution rows.jsonl --out out.jsonl --instances 2",
    "exact rows.jsonl --out out.jsonl",
    "probe rows.jsonl --out out.jsonl --size 2",
    "requests rows.jsonl --out out.jsonl --model gpt-4o",
    "serve --port 0",
]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JUDGE_DATABASE_URL", raising=False)
    write_jsonl("rows.jsonl", [ROW])
    return tmp_path


def judge(capsys, line):
    """(exit code, standard output, standard error) of one command."""
    with pytest.raises(SystemExit) as left:
        main(line.split())
    said = capsys.readouterr()
    return left.value.code or 0, said.out, said.err


@pytest.mark.parametrize("line", COMMANDS)
@pytest.mark.parametrize("name", ["nonsense", "postgre", "my,sql", "mysql,"])
def test_a_dialect_that_nobody_knows_is_one_line_before_any_work(here, capsys, line, name):
    code, out, err = judge(capsys, f"{line} --dialect {name}")
    assert (code, out) == (2, "")
    assert err.startswith(f"judge: --dialect {name}: ") and "postgres" in err and err.count("\n") == 1
    assert not (here / "out.jsonl").exists()


@pytest.mark.parametrize("line", COMMANDS[:2])
@pytest.mark.parametrize("name", ["postgresql", "mariadb", "PostgreSQL", "oracle"])
def test_a_name_that_people_use_is_taken(here, capsys, line, name):
    code, out, _ = judge(capsys, f"{line} --dialect {name}")
    assert code == 0 and ": 1 of 1 (" in out
    verdict = json.loads((here / "out.jsonl").read_text("utf-8"))
    assert verdict.get("execution", verdict.get("exact")) == "yes"


@pytest.mark.parametrize(
    ("given", "known"),
    [
        ("postgresql", "postgres"), ("mariadb", "mysql"), (" MySQL ", "mysql"), ("sqlite3", "sqlite"), (None, None),
        ("tsql", "tsql"), ("BigQuery", "bigquery"),
    ],
)  # fmt: skip
def test_names_become_those_of_sqlglot(given, known):
    assert known_dialect(given) == known


def test_no_name_at_all_is_no_dialect():
    with pytest.raises(UserError, match="does not know"):
        known_dialect(" ")
