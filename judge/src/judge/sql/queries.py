"""Read one query, and find which table each of its columns belongs to."""

from __future__ import annotations

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from judge.sql.schema import Schema

MAX_CHARACTERS = 20_000
_ROWID = {"rowid", "oid", "_rowid_"}
Place = tuple[str, str]  # lower-case names of table and column


class QueryError(ValueError):
    """The text is not one readable query. `kind` is 'sql_error' (its writer's fault) or 'transpile_error' (ours)."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def parse_query(sql: str, dialect: str = "mysql") -> exp.Expression:
    """The tree of exactly one SELECT, set operation or WITH query. Raises QueryError for anything else."""
    if len(sql) > MAX_CHARACTERS:
        raise QueryError("sql_error", f"the statement has {len(sql)} characters, {MAX_CHARACTERS} at most are tried")
    try:
        trees = [tree for tree in sqlglot.parse(sql, read=dialect) if tree is not None]
    except (SqlglotError, RecursionError) as error:
        raise QueryError("sql_error", f"does not parse: {first_line(error)}") from None
    if len(trees) != 1:
        raise QueryError("sql_error", f"{len(trees)} statements where one is expected")
    tree = trees[0]
    while isinstance(tree, exp.Subquery) and not tree.alias:
        if any(tree.args.get(part) for part in ("order", "limit", "offset")):
            break
        tree = tree.this
        tree.pop()
    if not isinstance(tree, (exp.Select, exp.SetOperation, exp.Subquery)):
        raise QueryError("sql_error", f"not a query: {tree.key.upper()}")
    if any(select.args.get("into") for select in tree.find_all(exp.Select)):
        raise QueryError("sql_error", "SELECT ... INTO writes")
    for call in list(tree.find_all(exp.Anonymous)):
        if call.name.upper() in ("NOW", "SYSDATE") and not call.expressions:
            call.replace(exp.CurrentTimestamp())
    return tree


def first_line(error: BaseException) -> str:
    """The first line of an error, without colour codes, at most 200 characters."""
    text = str(error).replace("\x1b[4m", "").replace("\x1b[0m", "").strip()
    return (text.splitlines() or [type(error).__name__])[0][:200]


def mentioned(trees: list[exp.Expression], schema: Schema) -> list[str]:
    """Lower-case names of the schema's tables that the queries name, in the schema's order."""
    names = {node.name.lower() for tree in trees for node in tree.find_all(exp.Table)}
    return [name for name in schema if name in names]


class Resolver:
    """Which column of which table a column of a query is. Names only, no types; unsure means None."""

    def __init__(self, tree: exp.Expression, schema: Schema) -> None:
        self.schema = schema
        self.ctes = {cte.alias.lower(): cte.this for cte in tree.find_all(exp.CTE)}
        self.everywhere = mentioned([tree], schema)
        self._scopes: dict[int, dict[str, exp.Expression]] = {}

    def place(self, column: exp.Column, depth: int = 0) -> Place | None:
        """(table, column) in lower case, followed through derived tables; None where it is no plain column."""
        scope = column.find_ancestor(exp.Select, exp.SetOperation)
        while scope is not None:
            if isinstance(scope, exp.SetOperation):
                inner = scope.this.unnest()
                found = self._output(inner, column.name.lower(), depth + 1) if depth < 8 else None
            else:
                found = self._in_scope(scope, column.table.lower(), column.name.lower(), depth)
            if found:
                return found
            scope = scope.find_ancestor(exp.Select, exp.SetOperation)
        return None

    def places(self, column: exp.Column) -> list[Place]:
        """The column's place, or all columns of that name among the query's tables where it can't be said."""
        found = self.place(column)
        if found:
            return [found]
        name = column.name.lower()
        return [(table, name) for table in self.everywhere if name in self.schema[table].columns]

    def meaning(self, column: exp.Column, depth: int = 0) -> exp.Expression | None:
        """What a name stands for that a SELECT, a derived table or a CTE gives to more than a plain column.

        SUM(amount) for `total` in HAVING total > 5 or in FROM (SELECT SUM(amount) AS total …); None for anything else.
        """
        scope, name = column.find_ancestor(exp.Select), column.name.lower()
        while scope is not None and depth < 8:
            sources = self._sources(scope)
            own = [] if column.table else [scope]
            inner = [self._query_of(source) for key, source in sources.items() if column.table.lower() in ("", key)]
            for query in [*own, *inner]:
                for item in query.expressions if query is not None else []:
                    if isinstance(item, exp.Alias) and item.alias.lower() == name:
                        meant = item.this.unnest()
                        if not isinstance(meant, exp.Column):
                            return meant
                        return self.meaning(meant, depth + 1) if meant is not column else None
            scope, depth = scope.find_ancestor(exp.Select), depth + 1
        return None

    def _query_of(self, source: exp.Expression) -> exp.Select | None:
        """The SELECT of a derived table or a CTE."""
        query = self.ctes.get(source.name.lower()) if isinstance(source, exp.Table) else source
        while isinstance(query, (exp.SetOperation, exp.Subquery)):
            query = query.this
        return query if isinstance(query, exp.Select) else None

    def _in_scope(self, scope: exp.Select, table: str, name: str, depth: int) -> Place | None:
        sources = self._sources(scope)
        if table:
            sources = {table: sources[table]} if table in sources else {}
        for source in sources.values():
            found = self._from(source, name, depth)
            if found:
                return found
        if not table and depth < 8:  # an output name, as in ORDER BY total
            for item in scope.expressions:
                if isinstance(item, exp.Alias) and item.alias.lower() == name and isinstance(item.this, exp.Column):
                    return self.place(item.this, depth + 1) if item.this.name.lower() != name else None
        return None

    def _sources(self, scope: exp.Select) -> dict[str, exp.Expression]:
        if id(scope) not in self._scopes:
            start = scope.args.get("from_")
            nodes = ([start.this] if start else []) + [join.this for join in scope.args.get("joins") or []]
            self._scopes[id(scope)] = {node.alias_or_name.lower(): node for node in nodes}
        return self._scopes[id(scope)]

    def _from(self, source: exp.Expression, name: str, depth: int) -> Place | None:
        if isinstance(source, exp.Table):
            table = source.name.lower()
            if table in self.ctes:
                return self._output(self.ctes[table], name, depth + 1)
            return (table, name) if table in self.schema and name in self.schema[table].columns else None
        return self._output(source.unnest(), name, depth + 1) if isinstance(source, exp.Subquery) else None

    def _output(self, query: exp.Expression, name: str, depth: int) -> Place | None:
        """Where the output column `name` of a derived table comes from."""
        while isinstance(query, (exp.SetOperation, exp.Subquery)):
            query = query.this
        if not isinstance(query, exp.Select) or depth > 8:
            return None
        for item in query.expressions:
            if item.is_star:
                found = self._in_scope(query, "", name, depth + 1)
                if found:
                    return found
            elif item.alias_or_name.lower() == name and isinstance(item.unalias(), exp.Column):
                return self.place(item.unalias(), depth + 1)
        return None


def refuse_hidden_columns(tree: exp.Expression, schema: Schema) -> None:
    """SQLite's rowid is no column in MySQL, so a query that leans on it is wrong. Raises QueryError."""
    known = {name for table in schema.values() for name in table.columns}
    for column in tree.find_all(exp.Column):
        if column.name.lower() in _ROWID - known:
            raise QueryError("sql_error", f"no such column: {column.name}")


def bare_beside_aggregate(tree: exp.Expression, schema: Schema) -> str | None:
    """The column that a SELECT without GROUP BY shows beside an aggregate, as in SELECT name, MAX(age) FROM t.

    MySQL refuses that (error 1140), while SQLite takes the name from the row of the maximum. None where there is none,
    or where WHERE fixes the column or a key of its table to a constant, which MySQL allows.
    """
    resolver = Resolver(tree, schema)
    select = tree.unnest()
    if not isinstance(select, exp.Select) or select.args.get("group"):
        return None
    inner = (exp.AggFunc, exp.Window, exp.Query, exp.AnyValue)
    outside: list[exp.Column] = []
    for item in select.expressions:
        outside += [
            node for node in item.walk(prune=lambda node: isinstance(node, inner)) if isinstance(node, exp.Column)
        ]
    lone = [
        aggregate for item in select.expressions for aggregate in item.find_all(exp.AggFunc)
        if not aggregate.find_ancestor(exp.Window, exp.Query) or aggregate.find_ancestor(exp.Window, exp.Query) is select
    ]  # fmt: skip
    if not lone or not outside:
        return None
    fixed = _fixed_columns(select, resolver)
    for column in outside:
        place = resolver.place(column)
        if place is None or place in fixed:
            continue
        table = schema[place[0]]
        keys = [table.primary, *table.uniques, *((name,) for name, own in table.columns.items() if own.unique)]
        if not any(key and all((place[0], name) in fixed for name in key) for key in keys):
            return column.name
    return None


def _fixed_columns(select: exp.Select, resolver: Resolver) -> set[Place]:
    """Columns that WHERE sets equal to a constant, whatever else it asks."""
    where = select.args.get("where")
    parts = list(where.this.flatten()) if where and isinstance(where.this, exp.And) else [where.this] if where else []
    fixed = set()
    for part in parts:
        if isinstance(part.unnest(), exp.EQ):
            sides = part.unnest().this.unnest(), part.unnest().expression.unnest()
            for one, other in (sides, sides[::-1]):
                place = resolver.place(one) if isinstance(one, exp.Column) else None
                if place and not other.find(exp.Column, exp.Query):
                    fixed.add(place)
    return fixed


def scalar_subqueries(tree: exp.Expression) -> list[exp.Select]:
    """Inner queries that stand for one value and may find several rows: MySQL refuses those, SQLite takes the first."""
    found = []
    for node in tree.find_all(exp.Subquery):
        select, place = node.unnest(), node.parent
        while isinstance(place, (exp.Paren, exp.Alias)):
            place = place.parent
        if not isinstance(select, exp.Select) or isinstance(
            place, (exp.From, exp.Join, exp.In, exp.SetOperation, exp.All, exp.Any, exp.Exists, exp.CTE, type(None))
        ):
            continue
        limit = select.args.get("limit")
        one = limit is not None and limit.expression is not None and limit.expression.name == "1"
        lone = not select.args.get("group") and any(item.find(exp.AggFunc) for item in select.expressions)
        if not one and not lone:
            found.append(select)
    return found


def correlated(select: exp.Select, schema: Schema) -> bool:
    """Does it ask for a column of the query round it? Unsure counts as yes."""
    sources = [node for node in select.find_all(exp.Table, exp.Subquery) if node.alias_or_name]
    names = {node.alias_or_name.lower() for node in sources}
    columns = {c for node in sources if node.name.lower() in schema for c in schema[node.name.lower()].columns}
    return any(
        column.table.lower() not in names if column.table else column.name.lower() not in columns
        for column in select.find_all(exp.Column)
    )
