"""Read the DDL of a row's context, and write it in as few tokens as the task allows.

`compact_schema("CREATE TABLE guilds (guild_id INT PRIMARY KEY, name VARCHAR(30))")` gives
`guilds(guild_id, name)`. Types go: with SmolLM2's tokenizer they cost more than half of the schema, and no
question of this task needs them. Foreign keys stay, as `guild_id->guilds`, because joins follow them.
"""

from __future__ import annotations

import logging
from functools import lru_cache

import sqlglot
from judge.sql.plainddl import read_plain
from sqlglot import exp

# sqlglot warns about each statement it keeps unread; a row's context is data, not something to warn of.
logging.getLogger("sqlglot").setLevel(logging.ERROR)

Table = tuple[str, tuple[str, ...], tuple[tuple[str, str], ...]]


@lru_cache(maxsize=4096)
def parse_tables(context: str) -> tuple[Table, ...]:
    """The tables of a DDL text as (name, columns, ((column, referenced table), …)), in the order written.

    Reads MySQL first, then sqlglot's own dialect. Statements other than CREATE TABLE and
    ALTER TABLE … FOREIGN KEY are passed over. Empty where the text is no DDL; never raises.
    """
    plain = read_plain(context)
    if plain:
        return tuple(
            (
                table.name,
                tuple(name for name, _, _ in table.columns),
                tuple({name: target for name, target, _ in table.keys}.items()),
            )
            for table in plain
        )
    return _parsed(context)


def _parsed(context: str) -> tuple[Table, ...]:
    for dialect in ("mysql", None, "sqlite"):
        try:
            statements = sqlglot.parse(context, read=dialect)
            tables = _tables(statements)
        except Exception:  # sqlglot raises more than ParseError on hostile text (recursion, tokens, types)
            continue
        if tables:
            return tables
    return ()


def _tables(statements: list[exp.Expression | None]) -> tuple[Table, ...]:
    columns: dict[str, list[str]] = {}
    links: dict[str, dict[str, str]] = {}
    for statement in statements:
        if not isinstance(statement, (exp.Create, exp.Alter)):
            continue
        found = statement.find(exp.Table)
        if found is None or not found.name:
            continue
        name = found.name
        if isinstance(statement, exp.Create):
            if statement.kind != "TABLE" or not isinstance(statement.this, exp.Schema):
                continue
            defined = [part for part in statement.this.expressions if isinstance(part, exp.ColumnDef)]
            columns[name] = [column.name for column in defined]
            for column in defined:
                for reference in column.find_all(exp.Reference):
                    links.setdefault(name, {})[column.name] = _referenced(reference)
        for key in statement.find_all(exp.ForeignKey):
            reference = key.args.get("reference")
            if reference is not None:
                for column in key.expressions:
                    links.setdefault(name, {})[column.name] = _referenced(reference)
    return tuple((name, tuple(names), tuple(links.get(name, {}).items())) for name, names in columns.items() if names)


def _referenced(reference: exp.Expression) -> str:
    table = reference.find(exp.Table)
    return table.name if table is not None else ""


def compact_schema(context: str) -> str:
    """`players(player_id, username, guild_id->guilds) guilds(guild_id, name)` from any DDL.

    Text that holds no CREATE TABLE is returned stripped and otherwise as it is.
    """
    tables = parse_tables(context)
    return compact_tables(tables) if tables else context.strip()


def compact_tables(tables: tuple[Table, ...]) -> str:
    """Tables as `compact_schema` writes them, in the order given."""
    written = []
    for name, columns, links in tables:
        target = dict(links)
        marked = [f"{column}->{target[column]}" if target.get(column) else column for column in columns]
        written.append(f"{name}({', '.join(marked)})")
    return " ".join(written)


@lru_cache(maxsize=4096)
def column_kinds(context: str) -> dict[tuple[str, str], str]:
    """'number', 'flag', 'text' or 'time' by (table, column), as the DDL declares them; other types are left out."""
    kinds = {}
    for dialect in ("mysql", None, "sqlite"):
        try:
            found = [s for s in sqlglot.parse(context, read=dialect) if isinstance(s, exp.Create)]
        except Exception:  # as in parse_tables
            continue
        for statement in found:
            table = statement.find(exp.Table)
            for column in statement.find_all(exp.ColumnDef):
                if table is not None and (kind := _kind(column.kind)):
                    kinds[table.name, column.name] = kind
        if kinds:
            break
    return kinds


def _kind(declared: exp.DataType | None) -> str:
    if declared is None:
        return ""
    if declared.this in (exp.DataType.Type.BOOLEAN, exp.DataType.Type.BIT, exp.DataType.Type.TINYINT):
        return "flag"  # MySQL's BOOLEAN is a TINYINT
    if declared.this in exp.DataType.NUMERIC_TYPES:
        return "number"
    if declared.this in exp.DataType.TEMPORAL_TYPES:
        return "number" if declared.this == exp.DataType.Type.YEAR else "time"
    return "text" if declared.this in (*exp.DataType.TEXT_TYPES, exp.DataType.Type.ENUM) else ""
