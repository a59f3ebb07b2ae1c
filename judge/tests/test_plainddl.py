"""DDL that is read without a parser means what it means to the parser; what is not plain is left to it."""

from __future__ import annotations

from random import Random

import pytest
from judge.sql import schema as module
from judge.sql.plainddl import read_plain
from judge.sql.schema import parse_schema

PLAYERS = "CREATE TABLE players (\n  player_id INT PRIMARY KEY,\n  name VARCHAR(20) NOT NULL,\n  guild_id INT,\n  FOREIGN KEY (guild_id) REFERENCES guilds(guild_id)\n);"
GUILDS = "CREATE TABLE guilds (\n  guild_id INT PRIMARY KEY AUTO_INCREMENT,\n  fee DECIMAL(4,1)\n);"
TYPES = [
    "INT", "BIGINT", "SMALLINT", "INTEGER", "BOOLEAN", "DATE", "DATETIME", "TEXT", "REAL", "VARCHAR(7)",
    "DECIMAL(5,2)", "DECIMAL(5,0)",
]  # fmt: skip


def random_ddl(dice: Random) -> str:
    tables = [f"table_{n}" for n in range(dice.randint(1, 4))]
    statements = []
    for table in tables:
        columns = [f"{table}_id", *(f"c{n}" for n in range(dice.randint(0, 5)))]
        lines = [
            f"  {column} {dice.choice(TYPES)}{dice.choice(['', ' NOT NULL']) if n else ' PRIMARY KEY'}"
            for n, column in enumerate(columns)
        ]
        # some of these point to what is not there, which is dropped
        lines += [
            f"  FOREIGN KEY ({dice.choice(columns)}) REFERENCES {other}({dice.choice([other + '_id', 'c0'])})"
            for other in [*tables, "nowhere"] if dice.random() < 0.4
        ]  # fmt: skip
        statements.append(f"CREATE TABLE {table} (\n" + ",\n".join(lines) + "\n);")
    return "\n".join(statements)


@pytest.mark.parametrize("seed", range(60))
def test_plain_ddl_means_the_same_to_both_readers(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    context = random_ddl(Random(f"ddl:{seed}"))
    assert read_plain(context)
    plain = parse_schema.__wrapped__(context)
    monkeypatch.setattr(module, "read_plain", lambda text: None)
    assert plain == parse_schema.__wrapped__(context)


@pytest.mark.parametrize("name", ["title", "format", "path", "comment", "state", "position", "name", "rank", "level"])
def test_a_column_may_be_called_what_a_constraint_is_called(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    context = f"CREATE TABLE things (\n  thing_id INT PRIMARY KEY,\n  {name} VARCHAR(7) NOT NULL\n);"
    plain = parse_schema.__wrapped__(context)
    monkeypatch.setattr(module, "read_plain", lambda text: None)
    assert plain == parse_schema.__wrapped__(context) and list(plain["things"].columns) == ["thing_id", name]


def test_tables_columns_and_keys_are_read() -> None:
    players, guilds = read_plain(f"{PLAYERS}\n{GUILDS}")
    assert players.columns[0] == ("player_id", "INT", "PRIMARY KEY") and players.columns[2] == ("guild_id", "INT", "")
    assert players.keys == (("guild_id", "guilds", "guild_id"),) and guilds.keys == ()


@pytest.mark.parametrize(
    "context",
    [
        "", "no DDL", PLAYERS + "\nSELECT 1", PLAYERS + PLAYERS, PLAYERS + "\n" + PLAYERS, PLAYERS.replace(",\n", "\n"),
        GUILDS.replace("fee", "order"), GUILDS.replace("guilds", "`guilds`"), GUILDS.replace("fee", "unique"),
        GUILDS.replace("DECIMAL(4,1)", "ENUM('a')"), GUILDS.replace("fee", "guild_id"), GUILDS.replace("fee", "Fee"),
        GUILDS.replace("\n  fee", " -- key\n  fee"), GUILDS.replace("1)\n", "1) PRIMARY KEY\n"),
        GUILDS.replace("1)\n", "1),\n"),
    ],
)  # fmt: skip
def test_anything_else_is_left_to_the_parser(context: str) -> None:
    assert read_plain(context) is None
