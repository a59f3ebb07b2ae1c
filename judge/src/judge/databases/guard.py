"""Write one query for a database server, or refuse it: a single SELECT that only reads the user's tables.

This is the first of three fences. Behind it stand a transaction that is read-only, and a role that should be (see
`judge.databases.server`). Text never reaches the server as it came: it is parsed and written anew, so a comment that
MySQL would run, or a second statement behind a quote that two parsers see differently, is gone. What was written is
then read once more in the server's dialect and checked again, since some names lose their quotes on the way.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field

import sqlglot
from sqlglot import exp
from sqlglot.errors import ErrorLevel, SqlglotError
from sqlglot.tokens import Token, TokenType

from judge.sql.queries import QueryError, Resolver, first_line
from judge.sql.schema import Schema

_E = exp.Expression

# PostgreSQL says itself which functions do more than read: it holds them for volatile, random() and a user's own
# functions among them, unless those were declared otherwise. These are refused besides, whatever it says.
_POSTGRES = re.compile(
    r"pg_|lo_|lo(read|write)$|dblink|txid_|inet_|current_setting$|set_config$|.*_to_xml|has_\w+_privilege$"
    r"|crosstab|connectby|xpath_table$"  # they run a text as SQL, and say that they are stable
)
# MySQL has no such list, so functions that sqlglot doesn't know must be known here, and some that it knows go.
_MYSQL_REFUSED = re.compile(
    r"rand(om)?$|uuid|sleep$|benchmark$|load_file$|get_lock$|release_|is_(free|used)_lock$|master_|source_|wait_for_"
    r"|(next|last|set)val$|last_insert_id$|connection_id$|(current_|session_|system_)?user$|current_role$|version$"
    r"|database$|schema$|found_rows$|row_count$|sys_"
)
_MYSQL_KNOWN = frozenset({
    "adddate", "subdate", "addtime", "subtime", "ascii", "ord", "bin", "oct", "bit_count", "convert_tz", "cot", "crc32",
    "curtime", "dayname", "elt", "export_set", "field", "find_in_set", "format", "from_days", "hex", "unhex", "inet_aton",
    "inet_ntoa", "insert", "interval", "isnull", "json_array", "json_contains", "json_contains_path", "json_depth",
    "json_keys", "json_length", "json_quote", "json_search", "json_type", "json_unquote", "json_valid", "json_value",
    "lcase", "ucase", "locate", "position", "lpad", "rpad", "make_set", "makedate", "maketime", "microsecond", "mid",
    "monthname", "now", "localtime", "localtimestamp", "octet_length", "period_add", "period_diff", "quote", "reverse",
    "sec_to_time", "time_to_sec", "soundex", "space", "strcmp", "time_format", "timediff", "timestampdiff", "to_days",
    "to_seconds", "truncate", "unix_timestamp", "utc_date", "utc_time", "utc_timestamp", "weekday", "yearweek", "std",
    "stddev", "grouping", "any_value", "atan2", "instr", "regexp_instr", "regexp_replace", "regexp_substr", "substr",
    "quarter", "last_day", "date_format", "from_unixtime", "char_length", "character_length", "natural_sort_key",
})  # fmt: skip
_SYSTEM = {"information_schema", "pg_catalog", "pg_toast", "mysql", "performance_schema", "sys"}
_WRITES = (
    exp.DML, exp.Create, exp.Drop, exp.Alter, exp.Command, exp.Into, exp.Copy, exp.Set, exp.Use, exp.Pragma,
    exp.Transaction, exp.Commit, exp.Rollback, exp.Kill, exp.LoadData, exp.NextValueFor,
)  # fmt: skip
_VARIABLES = (exp.Parameter, exp.SessionParameter, exp.PropertyEQ, exp.Placeholder)
# A unit, a character set, the name of a user's type: sqlglot writes their text as it stands, without quotes.
_PLAIN = re.compile(r"\w+([ .]\w+)*")
_LONGEST = 1_000_000  # characters that a query may ask to have made of one text


@dataclass(frozen=True)
class Server:
    """What is known of a server: sqlglot's name of its dialect, its tables, the functions it holds for volatile."""

    dialect: str  # 'postgres' | 'mysql'
    schema: Schema = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)  # tables' and columns' true spelling by lower case
    volatile: frozenset[str] = frozenset()


def write_for(server: Server, read: str, tree: _E) -> tuple[str, set[str]]:
    """(SQL for the server, no functions) of a tree that was read in the dialect `read`; the tree is not changed.

    Raises QueryError: 'sql_error' with a reason that begins 'refused', or 'transpile_error'.
    """
    try:
        tree = tree.copy()
        _refuse(tree)
        for node in list(tree.walk()):
            for part in ("locks", "hint", "hints"):  # they change how, not what, is read
                if node.args.get(part):
                    node.set(part, None)
        if _family(read) != server.dialect:
            tree = _adapt(tree, server)
        sql = tree.sql(dialect=server.dialect, comments=False, unsupported_level=ErrorLevel.RAISE)
        tokens = sqlglot.tokenize(sql, read=server.dialect)
        again = _read_again(sql, tokens, server)
        _refuse(again)
        _refuse_calls([tree, again], tokens, server)
        if server.dialect == "postgres":
            _refuse_attributes(again, tokens, server)
    except QueryError:
        raise
    except (SqlglotError, RecursionError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise QueryError("transpile_error", f"cannot be written for {server.dialect}: {first_line(error)}") from None
    return sql, set()


def _family(dialect: str) -> str:
    return {"mariadb": "mysql", "postgresql": "postgres"}.get(dialect, dialect)


def _refused(what: str) -> QueryError:
    return QueryError("sql_error", f"refused: {what}")


def _read_again(sql: str, tokens: list[Token], server: Server) -> _E:
    """The tree of what will be sent, which need not be the tree that it was written from."""
    if any(token.comments for token in tokens):  # none is written, so this was a name or a unit
        raise _refused("a comment inside a name")
    trees = [tree for tree in sqlglot.parse(sql, read=server.dialect) if tree is not None]
    if len(trees) != 1 or not isinstance(trees[0], (exp.Select, exp.SetOperation, exp.Subquery)):
        raise _refused(f"written for {server.dialect}, it is no longer one query")
    return trees[0]


def _refuse(tree: _E) -> None:
    for node in tree.walk():
        if isinstance(node, _WRITES):
            raise _refused(f"{node.key.upper()} inside a query")
        if isinstance(node, _VARIABLES):
            raise _refused(f"a variable or parameter, {node.sql()[:40]}")
        bare = _bare_text(node)
        if bare and not _PLAIN.fullmatch(bare):
            raise _refused(f"{bare[:40]!r} where a plain word is expected")
        if isinstance(node, exp.Table):
            path = {part.name.lower() for part in (node.args.get("db"), node.args.get("catalog")) if part}
            if path & _SYSTEM or node.name.lower().startswith("pg_"):
                raise _refused(f"the system table {node.name}")
        if isinstance(node, (exp.Repeat, exp.Pad, exp.Space)):
            count = node.args.get("times") or node.args.get("expression") or node.this
            if isinstance(count, exp.Literal) and count.is_number and float(count.name) > _LONGEST:
                raise _refused(f"a text of {count.name} characters")


def _bare_text(node: _E) -> str:
    """Text of a node that sqlglot writes without quotes, whatever it holds; of a type's name some versions do."""
    if isinstance(node, exp.Var):
        return node.name
    kind = node.args.get("kind") if isinstance(node, exp.DataType) else None
    if isinstance(kind, _E):
        return " ".join(part.name for part in kind.find_all(exp.Identifier, exp.Var))
    return kind or ""


def _refuse_calls(trees: list[_E], tokens: list[Token], server: Server) -> None:
    """Look at every name before a bracket in what will be sent: that holds for functions which sqlglot renames too."""
    called = {a.text.lower() for a, b in itertools.pairwise(tokens) if b.token_type == TokenType.L_PAREN and a.text}
    for name in sorted(called):
        if server.dialect == "postgres" and name in server.volatile:
            raise _refused(f"{name}() does more than read, or changes from call to call (volatile)")
        if (_POSTGRES if server.dialect == "postgres" else _MYSQL_REFUSED).match(name):
            raise _refused(f"{name}()")
    if server.dialect == "mysql":
        for node in itertools.chain.from_iterable(tree.find_all(exp.Anonymous, exp.AnonymousAggFunc) for tree in trees):
            if node.name.lower() not in _MYSQL_KNOWN:
                raise _refused(f"{node.name}() is not among the functions known to read only")


def _refuse_attributes(tree: _E, tokens: list[Token], server: Server) -> None:
    """`(20).pg_sleep` and `players.touch` call functions in PostgreSQL, unless a column has that name.

    The manual has it under "Using Composite Types in Queries"; values of other types can be written so too.
    """
    after_dot = {b.text.lower() for a, b in itertools.pairwise(tokens) if a.token_type == TokenType.DOT}
    doubtful = {name for name in after_dot if name in server.volatile or _POSTGRES.match(name)}
    if not doubtful:
        return
    understood: set[str] = set()
    for node in tree.find_all(exp.Dot, exp.Column, exp.Table):
        name = node.name.lower()
        if isinstance(node, exp.Dot):
            if name in doubtful:
                raise _refused(f".{name}, which calls a function")
        elif isinstance(node, exp.Column) and node.table:
            if name in doubtful and not _is_column(node, tree, server):
                raise _refused(f"{node.table}.{name}, which calls a function where no column has that name")
            understood.add(name)
        if node.args.get("db"):  # then the table's name stands after a dot too
            understood.add(name if isinstance(node, exp.Table) else node.table.lower())
    for name in sorted(doubtful - understood):
        raise _refused(f".{name}, which may call a function")


def _is_column(column: exp.Column, tree: _E, server: Server) -> bool:
    """Has all in the query that goes by the column's qualifier such a column? Then it is one, whichever is meant."""
    named = tree.find_all(exp.Table, exp.Subquery, exp.CTE)
    sources = [node for node in named if node.alias_or_name.lower() == column.table.lower()]
    return bool(sources) and all(_gives(source, column.name.lower(), tree, server.schema) for source in sources)


def _gives(source: _E, name: str, tree: _E, schema: Schema, depth: int = 0) -> bool:
    """Has a table, a derived table or a WITH query a column of this lower-case name? Unsure means no."""
    if depth > 8:
        return False
    if source.alias_column_names:
        return name in {column.lower() for column in source.alias_column_names}
    if isinstance(source, exp.Table):
        table = source.name.lower()
        named = [cte for cte in tree.find_all(exp.CTE) if cte.alias.lower() == table]
        known = [name in schema[table].columns] if table in schema else []
        found = known + [_gives(cte, name, tree, schema, depth + 1) for cte in named]
        return bool(found) and all(found)
    query = source.this
    while isinstance(query, (exp.SetOperation, exp.Subquery)):
        query = query.this
    if not isinstance(query, exp.Select):
        return False
    if name in {item.lower() for item in query.named_selects}:
        return True
    start = query.args.get("from_")
    inner = ([start.this] if start else []) + [join.this for join in query.args.get("joins") or []]
    for item in query.expressions:
        if item.is_star:
            wanted = item.text("table").lower()
            parts = [part for part in inner if wanted in ("", part.alias_or_name.lower())]
            if any(_gives(part, name, tree, schema, depth + 1) for part in parts):
                return True
    return False


def _adapt(tree: _E, server: Server) -> _E:
    """What sqlglot leaves when it goes from one dialect to another: spelling of names, booleans, some date parts."""
    resolver = Resolver(tree, server.schema)
    for node in list(tree.find_all(exp.EQ, exp.NEQ, exp.Is)):
        _settle_boolean(node, resolver, server)
    if server.dialect == "postgres":
        for node in reversed(list(tree.walk())):
            made = _postgres(node)
            if made is not None:
                node.replace(made)
    for name in tree.find_all(exp.Identifier):
        # MySQL ignores case in names (and Spider's writers do); PostgreSQL folds only what stands without quotes.
        lower = name.name.lower()
        name.set("this", server.names.get(lower, lower))
        name.set("quoted", bool(name.args.get("quoted")) or name.name != lower)
    return tree


def _settle_boolean(node: exp.Binary, resolver: Resolver, server: Server) -> None:
    """`is_active = 1` beside a BOOLEAN, `flag = TRUE` beside an INT: MySQL knows no difference, PostgreSQL does."""
    for column, value in ((node.this, node.expression), (node.expression, node.this)):
        place = resolver.place(column) if isinstance(column, exp.Column) else None
        if place is None:
            continue
        boolean = server.schema[place[0]].columns[place[1]].kind == "bool"
        if boolean and isinstance(value, exp.Literal) and value.name in ("0", "1"):
            value.replace(exp.Boolean(this=value.name == "1"))
        elif not boolean and isinstance(value, exp.Boolean) and not isinstance(node, exp.Is):
            value.replace(exp.Literal.number(int(value.this)))


_PARTS = {exp.Hour: "HOUR", exp.Minute: "MINUTE", exp.Second: "SECOND", exp.Week: "WEEK", exp.WeekOfYear: "WEEK"}


def _postgres(node: _E) -> _E | None:
    if type(node) in _PARTS:
        return exp.Extract(this=exp.var(_PARTS[type(node)]), expression=_moment(node.this))
    if isinstance(node, exp.Anonymous) and node.name.upper() == "UNIX_TIMESTAMP" and len(node.expressions) == 1:
        return exp.Extract(this=exp.var("EPOCH"), expression=_moment(node.expressions[0]))
    if isinstance(node, (exp.Dayname, exp.Monthname)):
        form = "FMDay" if isinstance(node, exp.Dayname) else "FMMonth"
        return exp.Anonymous(this="TO_CHAR", expressions=[_moment(node.this), exp.Literal.string(form)])
    if isinstance(node, exp.TimestampDiff):
        return _difference(node)
    if isinstance(node, exp.Literal) and node.is_string and _shifted(node):
        return _moment(node)
    return None


def _shifted(node: exp.Literal) -> bool:
    """Is this '2024-03-01' in '2024-03-01' - INTERVAL 7 DAY? PostgreSQL would take it for an interval too."""
    above = node.parent
    if isinstance(above, (exp.Add, exp.Sub)):
        return isinstance(above.right if node is above.left else above.left, exp.Interval)
    return isinstance(above, (exp.DateAdd, exp.DateSub, exp.TsOrDsAdd, exp.TimestampAdd)) and node is above.this


def _moment(node: _E) -> _E:
    while isinstance(node, (exp.TsOrDsToDate, exp.TsOrDsToTimestamp)):
        node = node.this
    return exp.cast(node.copy(), "TIMESTAMP")


def _difference(node: exp.TimestampDiff) -> _E:
    """Whole units from one moment to another, cut off towards zero as MySQL does."""
    unit = (node.args.get("unit") or exp.var("DAY")).name.upper()
    later, earlier = _moment(node.this), _moment(node.expression)
    seconds = {"SECOND": 1, "MINUTE": 60, "HOUR": 3600, "DAY": 86400, "WEEK": 604800}.get(unit)
    if seconds:
        gap = exp.Extract(this=exp.var("EPOCH"), expression=exp.paren(exp.Sub(this=later, expression=earlier)))
        return exp.cast(
            exp.Anonymous(this="TRUNC", expressions=[exp.Div(this=gap, expression=_number(seconds))]), "INT"
        )
    if unit not in ("MONTH", "QUARTER", "YEAR"):
        raise QueryError("transpile_error", f"TIMESTAMPDIFF({unit}) is not supported")
    age = exp.Anonymous(this="AGE", expressions=[later, earlier])
    years = exp.Extract(this=exp.var("YEAR"), expression=age)
    months = exp.Add(
        this=exp.Mul(this=years, expression=_number(12)),
        expression=exp.Extract(this=exp.var("MONTH"), expression=age.copy()),
    )
    parts = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}[unit]
    whole = exp.Div(this=exp.paren(months), expression=_number(parts))
    return exp.cast(exp.Anonymous(this="TRUNC", expressions=[whole]), "INT")


def _number(value: int) -> exp.Literal:
    return exp.Literal.number(value)
