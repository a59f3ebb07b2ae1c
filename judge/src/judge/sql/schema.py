"""Read tables, keys and references out of the DDL that a row carries as its context."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from judge.sql.plainddl import PlainTable, read_plain

# Kinds decide which values are made and how SQLite stores them.
AFFINITY = {"int": "INTEGER", "bool": "INTEGER", "year": "INTEGER", "real": "REAL", "any": "BLOB"}

_PIECE = re.compile(
    r"""(?P<quote>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`[^`]*`|\[\w[\w ]*\])
      | (?P<comment>--[^\n]*|\#[^\n]*|/\*.*?(?:\*/|\Z)) | (?P<create>\bCREATE\s+(?:TEMPORARY\s+)?TABLE\b)
      | (?P<end>;) | .""",
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)


@dataclass
class Column:
    name: str
    kind: str  # int real bool year text date datetime time any
    nullable: bool = True
    unique: bool = False  # by itself, not as part of a composite key
    choices: list = field(default_factory=list)  # ENUM members or CHECK (c IN (...))
    length: int = 0  # characters at most, 0 = no limit
    scale: int = 2  # digits after the point of a DECIMAL
    unsigned: bool = False


@dataclass
class Reference:
    columns: tuple[str, ...]
    table: str
    targets: tuple[str, ...]


@dataclass
class Table:
    name: str
    columns: dict[str, Column] = field(default_factory=dict)  # by lower-case name, in DDL order
    primary: tuple[str, ...] = ()
    uniques: list[tuple[str, ...]] = field(default_factory=list)  # of two or more columns
    references: list[Reference] = field(default_factory=list)


Schema = dict[str, Table]  # by lower-case name, in DDL order


class SchemaError(ValueError):
    """The context holds no table that can be read; the message says what was found."""


@lru_cache(maxsize=256)
def parse_schema(context: str) -> Schema:
    """Tables of all CREATE TABLE statements in `context`, by lower-case name. The answer is cached: read it only.

    MySQL's DDL as people write it: AUTO_INCREMENT, ENUM, COMMENT, backticks, inline REFERENCES, composite keys,
    columns without a type, comments, missing semicolons. What is no CREATE TABLE is passed over. References to
    tables or columns that the DDL does not have are dropped; where a table has no key at all, `id` or `player_id` in
    `players` is taken for one. Raises SchemaError where no table is found.
    """
    schema: Schema = {}
    plain = read_plain(context or "")
    for table in map(_of_plain, plain) if plain else map(_table, _statements(context or "")):
        if table and table.columns:
            schema[table.name.lower()] = table
    if not schema:
        raise SchemaError("the context holds no CREATE TABLE that can be read")
    for table in schema.values():
        _complete(table, schema)
    return schema


def _statements(context: str) -> list[str]:
    """CREATE TABLE statements without comments; each begins a new one even where the semicolon is missing."""
    parts: list[list[str]] = []
    inside = False
    for piece in _PIECE.finditer(context):
        kind = piece.lastgroup
        if kind == "create":
            parts.append([])
            inside = True
        if kind == "end":
            inside = False
        elif inside:
            parts[-1].append(" " if kind == "comment" else piece.group())
    return ["".join(part).strip() for part in parts]


def _table(statement: str) -> Table | None:
    # Spider-like dumps quote names with double quotes, which are strings in MySQL: SQLite's reading comes second.
    for dialect in ("mysql", "sqlite"):
        try:
            tree = sqlglot.parse_one(statement, read=dialect)
        except (SqlglotError, RecursionError):
            continue
        if isinstance(tree, exp.Create) and isinstance(tree.this, exp.Schema):
            table = Table(tree.this.this.name)
            for item in tree.this.expressions:
                _add(table, item)
            return table
    return _plain_table(statement)


def _of_plain(plain: PlainTable) -> Table:
    table = Table(plain.name)
    for name, text, rule in plain.columns:
        column = table.columns[name] = _typed(name, text)
        column.nullable = not rule
        if rule.startswith("PRIMARY"):
            table.primary = (name,)
    table.references = [Reference((column,), target, (key,)) for column, target, key in plain.keys]
    return table


def _add(table: Table, item: exp.Expression) -> None:
    if isinstance(item, exp.Constraint):
        for part in item.expressions:
            _add(table, part)
    elif isinstance(item, exp.ColumnDef):
        _add_column(table, item)
    elif isinstance(item, exp.Identifier):  # a column without a type
        table.columns[item.name.lower()] = Column(item.name, "any")
    elif isinstance(item, exp.PrimaryKey):
        table.primary = _names(item.expressions)
    elif isinstance(item, exp.UniqueColumnConstraint):
        inner = item.this
        names = _names(inner.expressions if isinstance(inner, exp.Schema) else [inner] if inner else [])
        table.uniques.append(names)
    elif isinstance(item, exp.ForeignKey):
        _add_reference(table, _names(item.expressions), item.args.get("reference"))
    elif isinstance(item, exp.CheckColumnConstraint):
        _add_choices(table, item.this)


def _add_column(table: Table, item: exp.ColumnDef) -> None:
    kind = item.args.get("kind")
    column = _typed(item.name, kind.sql(dialect="mysql").upper() if kind else "")
    if column.kind == "text" and kind and kind.sql(dialect="mysql").upper().startswith(("ENUM", "SET")):
        column.choices = [part.name for part in kind.expressions]
    for constraint in item.args.get("constraints") or []:
        rule = constraint.kind
        if isinstance(rule, exp.NotNullColumnConstraint):
            column.nullable = bool(rule.args.get("allow_null"))
        elif isinstance(rule, exp.PrimaryKeyColumnConstraint):
            table.primary = (item.name.lower(),)
        elif isinstance(rule, exp.UniqueColumnConstraint):
            column.unique = True
        elif isinstance(rule, exp.AutoIncrementColumnConstraint):
            column.nullable = False
        elif isinstance(rule, exp.Reference):
            _add_reference(table, (item.name.lower(),), rule)
        elif isinstance(rule, exp.CheckColumnConstraint):
            table.columns[item.name.lower()] = column
            _add_choices(table, rule.this)
    table.columns[item.name.lower()] = column


def _typed(name: str, text: str) -> Column:
    """A column of a type as written, in capitals."""
    column = Column(name, kind_of(text))
    numbers = [int(n) for n in re.findall(r"\d+", text)]
    if column.kind == "text" and "CHAR" in text and numbers and not text.startswith(("ENUM", "SET")):
        column.length = numbers[0]
    if column.kind == "real" and text.startswith(("DEC", "NUM", "FIXED")) and numbers:
        column.scale = numbers[1] if len(numbers) > 1 else 0
        column.kind = "real" if column.scale else "int"
    column.unsigned = "UNSIGNED" in text or text.startswith("U")
    return column


def _add_reference(table: Table, columns: tuple[str, ...], reference: exp.Expression | None) -> None:
    target = reference.this if reference else None
    if isinstance(target, exp.Schema):
        table.references.append(Reference(columns, target.this.name.lower(), _names(target.expressions)))
    elif isinstance(target, exp.Table):
        table.references.append(Reference(columns, target.name.lower(), ()))


def _add_choices(table: Table, check: exp.Expression) -> None:
    for node in check.find_all(exp.In):
        column = table.columns.get(node.this.name.lower())
        values = [value for value in node.expressions if isinstance(value, exp.Literal)]
        if column and values and not node.find_ancestor(exp.Not, exp.Or):
            column.choices = [
                v.name if v.is_string else float(v.name) if "." in v.name else int(v.name) for v in values
            ]


def _names(nodes: list[exp.Expression]) -> tuple[str, ...]:
    return tuple(name.lower() for name in (node.name or node.this.name for node in nodes) if name)


def kind_of(type_text: str) -> str:
    """Our kind for an SQL type as written: 'VARCHAR(20)' -> 'text', '' -> 'any'."""
    text = type_text.upper()
    if not text:
        return "any"
    if text.startswith(("BOOL", "TINYINT(1)", "BIT")):
        return "bool"
    if text.startswith("YEAR"):
        return "year"
    if text.startswith(("DATETIME", "TIMESTAMP")):
        return "datetime"
    if text.startswith("DATE"):
        return "date"
    if text.startswith("TIME"):
        return "time"
    if text.startswith("INTERVAL"):
        return "text"
    if "INT" in text or text.startswith("SERIAL"):
        return "int"
    if text.startswith(("DEC", "NUM", "FLOAT", "DOUBLE", "REAL", "FIXED", "UDECIMAL", "UDOUBLE", "MONEY")):
        return "real"
    return "text"


def guessed_kind(name: str) -> str:
    """Kind of a column that has no type and that no query compares with a constant, from its name."""
    words = name.lower().replace("-", "_").split("_")
    if words[-1] in (
        "id",
        "no",
        "num",
        "count",
        "age",
        "year",
        "score",
        "level",
        "points",
        "amount",
        "quantity",
        "rank",
        "number",
    ):
        return "int"
    if words[-1] in ("date", "day") or (words[-1] == "on" and len(words) > 1):
        return "date"
    if words[-1] in ("at", "time", "timestamp", "datetime") and len(words) > 1:
        return "datetime"
    return "real" if words[-1] in ("price", "rate", "salary", "cost", "weight", "height") else "text"


def _plain_table(statement: str) -> Table | None:
    """Names and types by commas alone, for DDL that no parser reads; keys and references as they are mostly written."""
    head = re.match(
        r"CREATE\s+(?:TEMPORARY\s+)?TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?([^\s(]+)\s*\((.*)", statement, re.I | re.S
    )
    if not head:
        return None
    table = Table(head.group(1).strip('`"[]'))
    body = re.sub(r"\)[^()]*\Z", "", head.group(2))
    for part in re.split(r",(?![^()]*\))", body):
        words = part.split(None, 1)
        if not words:
            continue
        rest = words[1] if len(words) > 1 else ""
        if words[0].upper() in {"PRIMARY", "FOREIGN", "UNIQUE", "KEY", "INDEX", "CONSTRAINT", "CHECK", "FULLTEXT"}:
            lists = [
                tuple(name.strip(' `"[]').lower() for name in group.split(","))
                for group in re.findall(r"\(([^()]*)\)", part)
            ]
            target = re.search(r"REFERENCES\s+([^\s(]+)", part, re.I)
            if target and lists:
                table.references.append(
                    Reference(lists[0], target.group(1).strip('`"[]').lower(), lists[1] if len(lists) > 1 else ())
                )
            elif re.search(r"PRIMARY\s+KEY", part, re.I) and lists:
                table.primary = lists[0]
            continue
        name = words[0].strip('`"[]')
        column = Column(name, kind_of(rest), nullable=not re.search(r"NOT\s+NULL", rest, re.I))
        if re.search(r"PRIMARY\s+KEY", rest, re.I):
            table.primary = (name.lower(),)
        table.columns[name.lower()] = column
    return table


def _likely_key(table: Table) -> tuple[str, ...]:
    """The key of a table whose DDL names none: `id`, or `player_id` in `players`; data sets often leave keys out."""
    name = table.name.lower()
    stems = {name, name.removesuffix("s"), name.removesuffix("es"), re.sub("ies$", "y", name)}
    for column in table.columns:
        if column == "id" or column in {stem + "_id" for stem in stems}:
            return (column,)
    return ()


def _complete(table: Table, schema: Schema) -> None:
    """Settle what a table's parts say together: keys are not null, a single unique column is unique, targets exist."""
    table.primary = tuple(name for name in table.primary if name in table.columns)
    if not table.primary and not table.uniques and not any(column.unique for column in table.columns.values()):
        table.primary = _likely_key(table)
    groups = [group for group in table.uniques if group and all(name in table.columns for name in group)]
    for name in table.primary:
        table.columns[name].nullable = False
    if len(table.primary) == 1:
        table.columns[table.primary[0]].unique = True
    elif table.primary:
        groups.append(table.primary)
    for group in groups:
        if len(group) == 1:
            table.columns[group[0]].unique = True
    table.uniques = [group for group in groups if len(group) > 1]
    kept = []
    for reference in table.references:
        target = schema.get(reference.table)
        if target is None or not reference.columns:
            continue
        primary = tuple(name for name in target.primary if name in target.columns)
        targets = reference.targets or primary
        known = all(name in table.columns for name in reference.columns) and all(
            name in target.columns for name in targets
        )
        settled = Reference(reference.columns, reference.table, targets)
        if known and len(targets) == len(reference.columns) and settled not in kept:
            kept.append(settled)
    table.references = kept
