"""Read DDL of the plainest form without a parser, some twenty times as fast; anything else is left to the parser.

    CREATE TABLE players (
      player_id INT PRIMARY KEY AUTO_INCREMENT,
      guild_id INT NOT NULL,
      FOREIGN KEY (guild_id) REFERENCES guilds(guild_id)
    );

One column or foreign key a line, names of ASCII letters in lower case that are no words of the language, types from a
short list. What is read here means the same to the parser; a test compares the two.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_NAME = "[a-z_][a-z0-9_]*"
_TYPE = r"(?:BIG|SMALL)?INT|INTEGER|BOOLEAN|DATE|DATETIME|TEXT|REAL|VARCHAR\([1-9]\d{0,4}\)|DECIMAL\([1-9]\d?,\d\d?\)"
_TABLE = re.compile(rf"\s*CREATE TABLE ({_NAME}) \(\n((?:  [^\n]+\n)+)\);?[ \t]*(?=\n|\Z)")
_COLUMN = re.compile(rf"  ({_NAME}) ({_TYPE})(?: (PRIMARY KEY(?: AUTO_INCREMENT)?|NOT NULL))?(,?)")
_KEY = re.compile(rf"  FOREIGN KEY \(({_NAME})\) REFERENCES ({_NAME})\(({_NAME})\)(,?)")


@dataclass(frozen=True)
class PlainTable:
    """Columns as (name, type, '' | 'PRIMARY KEY' | 'PRIMARY KEY AUTO_INCREMENT' | 'NOT NULL'); keys as (column, table, column)."""

    name: str
    columns: tuple[tuple[str, str, str], ...]
    keys: tuple[tuple[str, str, str], ...]


def read_plain(context: str) -> list[PlainTable] | None:
    """The tables of a DDL text in their order, or None where any of it is not of the plain form."""
    tables, at = [], 0
    while context[at:].strip():
        found = _TABLE.match(context, at)
        table = found and _table(*found.groups())
        if not table:
            return None
        tables.append(table)
        at = found.end()
    return tables if tables and len({table.name for table in tables}) == len(tables) else None


@lru_cache(maxsize=4096)
def _table(name: str, body: str) -> PlainTable | None:
    columns, keys = [], []
    lines = body[:-1].split("\n")
    for number, line in enumerate(lines, 1):
        column = _COLUMN.fullmatch(line)
        key = None if column else _KEY.fullmatch(line)
        found = column or key
        # a comma behind each line but the last
        if not found or (found.groups()[-1] == ",") != (number < len(lines)) or (column and keys):
            return None
        if column:
            columns.append((column[1], column[2], column[3] or ""))
        else:
            keys.append(key.groups()[:3])
    names = [column for column, _, _ in columns]
    primary = [rule for _, _, rule in columns if rule.startswith("PRIMARY")]
    if len(set(names)) < len(names) or len(primary) > 1 or not _reserved().isdisjoint([name, *names]):
        return None
    return PlainTable(name, tuple(columns), tuple(keys))


@lru_cache(maxsize=1)
def _reserved() -> frozenset[str]:
    """Words that a parser may take for something else than a name."""
    from sqlglot.dialects.mysql import MySQL

    words = {word for phrase in MySQL.Tokenizer.KEYWORDS for word in phrase.lower().split()}
    constraints = {word for phrase in MySQL.Parser.SCHEMA_UNNAMED_CONSTRAINTS for word in phrase.lower().split()}
    return frozenset(words | constraints | {"constraint"})
