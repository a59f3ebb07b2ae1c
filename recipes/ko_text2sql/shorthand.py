"""Queries without their joins' paperwork: what a small model writes, and the SQL that is made of it.

    shorten("SELECT products.name FROM products JOIN brands ON products.brand_id = brands.brand_id
             WHERE brands.country = '미국'", ddl)
    # "SELECT name FROM products WHERE brands.country = '미국'"
    expand(that, ddl)                                # the query again

Foreign keys say how tables are joined, so a model need not: a bare column is the FROM table's own, and naming a column
of another table joins that table. A table may be named like a column, as PostgreSQL has it, for its rows: `COUNT(orders)`
joins orders and counts, `orders IS NULL` is where there is no row of orders, `orders IS NOT NULL` where there is one,
and `brands IS NULL` where a row refers to none. It is the idea of intermediate representations such as NatSQL (Gan et al.
2021, arXiv 2109.05153), kept so small that a shorthand still reads as SQL. What the rules can't give back stays as it was written: outer joins, self joins, aliases,
joins on anything but a foreign key.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

import sqlglot
from judge.exact import exact_match
from sqlglot import exp
from sqlglot.errors import SqlglotError

from recipes.ko_text2sql.schema_text import Table, parse_tables

DIALECT = "mysql"


@lru_cache(maxsize=1 << 16)
def shorten(query: str, context: str) -> str:
    """`query` in shorthand; the same text where there is nothing to shorten, or where `expand` would not give it back."""
    tables = parse_tables(context)
    try:
        tree = sqlglot.parse_one(query, read=DIALECT)
    except SqlglotError:
        return query
    if not tables or not tree.find(exp.Join, exp.In, exp.Is):
        return query
    # The most first; some queries can be given back only with their subqueries or counts as they are.
    for by_rows in (True, False):
        shorter = tree.copy()
        selects = list(shorter.find_all(exp.Select))
        for select in selects:
            _shorten(select, tables, by_rows)
        for select in reversed(selects) if by_rows else ():
            _shorten_members(select, tables)
        for select in selects if by_rows else ():
            _shorten_nullness(select, tables)
        short = _text(shorter)
        if shorter != tree and exact_match(query, expand(short, context), DIALECT)[0] == "yes":
            return short
    return query


def expand(text: str, context: str) -> str:
    """The SQL that a shorthand stands for; `text` itself where it needs nothing, or can't be read.

    Also mends what a model leaves out of plain SQL: a join without its condition, a table that is used and not joined,
    a bare column that several tables have. Tables that no foreign key leads to are left as they are.
    """
    tables = parse_tables(context)
    try:
        trees = [tree for tree in sqlglot.parse(text, read=DIALECT) if tree is not None]
    except (SqlglotError, RecursionError):
        return text
    if len(trees) != 1 or not tables:
        return text
    # Outermost first: a subquery without FROM gets its own from the query around it.
    changed = [_expand(select, tables) for select in list(trees[0].find_all(exp.Select))]
    return _text(trees[0]) if any(changed) else text


def finish(row: dict, text: str) -> str:
    """A model's answer to `row` as SQL."""
    return expand(text, row["context"])


def _text(tree: exp.Expression) -> str:
    """sqlglot writes `NOT c IN (…)` and `NOT c IS NULL`; the rows say `c NOT IN (…)` and `c IS NOT NULL`."""
    text = re.sub(r"\bNOT ([\w.]+) (IN|LIKE|BETWEEN) ", r"\1 NOT \2 ", tree.sql(DIALECT))
    return re.sub(r"\bNOT ([\w.]+) IS NULL\b", r"\1 IS NOT NULL", text).replace("EXISTS(", "EXISTS (")


# --- one SELECT ---------------------------------------------------------------------------------------------------
def _shorten_members(select: exp.Select, tables: tuple[Table, ...]) -> None:
    """`key IN (SELECT its foreign key FROM t)` as `t IS NOT NULL`; with conditions `EXISTS (SELECT t WHERE … HAVING …)`."""
    sources = {source.alias_or_name: source.name for source in _sources(select)}
    columns = {column for _, own, _ in tables for column in own}
    for node in [found for found in select.find_all(exp.In) if found.find_ancestor(exp.Select) is select]:
        inner = node.args["query"].this if node.args.get("query") else None
        own = node.this.table or (next(iter(sources)) if len(sources) == 1 else "")
        if not isinstance(node.this, exp.Column) or sources.get(own) != own or not isinstance(inner, exp.Select):
            continue
        table = inner.args["from_"].this.name if inner.args.get("from_") else ""
        link = _links(tables).get(own, {}).get(table)
        if not link or table in columns or table in sources or node.this.name != _side(link, own):
            continue
        conditions = {part: inner.args[part] for part in ("where", "having") if inner.args.get(part)}
        if inner != _keys_of(table, _side(link, table), conditions):
            continue
        none = isinstance(node.parent, exp.Not)
        if conditions:
            test = exp.Exists(this=exp.select(exp.column(table)))
            for part, condition in conditions.items():
                test.this.set(part, condition)
        else:
            test, none = exp.column(table).is_(exp.null()), not none
        (node.parent if isinstance(node.parent, exp.Not) else node).replace(exp.not_(test) if none else test)


def _shorten_nullness(select: exp.Select, tables: tuple[Table, ...]) -> None:
    """`a foreign key to t IS NULL` as `t IS NULL`, which is how people say it."""
    sources = {source.alias_or_name: source.name for source in _sources(select)}
    columns = {column for _, own, _ in tables for column in own}
    for test in [found for found in select.find_all(exp.Is) if found.find_ancestor(exp.Select) is select]:
        key = test.this
        if not isinstance(key, exp.Column) or not isinstance(test.expression, exp.Null):
            continue
        own = key.table or (next(iter(sources)) if len(sources) == 1 else "")
        for table, link in _links(tables).get(own, {}).items() if sources.get(own) == own else ():
            if _refers(own, table, tables) and _side(link, own) == key.name and table not in {*columns, *sources}:
                key.replace(exp.column(table))
                break


def _keys_of(table: str, column: str, conditions: dict[str, exp.Expression]) -> exp.Select:
    """`SELECT column FROM table` with the conditions, by the names of their clauses; those on groups are on the column's."""
    keys = exp.select(column).from_(table)
    for part, condition in conditions.items():
        keys.set(part, condition.copy())
    return keys.group_by(column) if "having" in conditions else keys


def _side(link: str, table: str) -> str:
    """The column of `table` in a link's condition."""
    return re.search(rf"\b{table}\.(\w+)", link)[1]


def _shorten(select: exp.Select, tables: tuple[Table, ...], by_rows: bool) -> None:
    """Leave out the joins that `_expand` would put back; leaves `select` as it is where they are of another sort.

    by_rows: a table that is only counted may be named in the COUNT, so that the FROM table can be that of the first item.
    """
    names = {name for name, _, _ in tables}
    joined = [source.name for source in _sources(select)]
    plain = all(isinstance(source, exp.Table) and not source.alias for source in _sources(select))
    joins = select.args.get("joins") or []
    inner = all(join.args.get("on") and not join.side and join.kind in ("", "INNER") for join in joins)
    if not joins or not plain or not inner or not set(joined) <= names or len(set(joined)) < len(joined):
        return
    columns = list(_own_columns(select))
    if any(isinstance(column.this, exp.Star) for column in columns) or any(
        isinstance(item, exp.Star) for item in select.expressions
    ):
        return
    spoken = list(dict.fromkeys(column.table for column in columns if column.table and not _in_join(column, select)))
    silent = [name for name in joined if name not in spoken]
    item = select.expressions[0] if select.expressions else None
    first = item.find(exp.Column) if item else None
    roots = [first.table] if first is not None and first.table else []
    counts = [count for count in select.find_all(exp.Count) if isinstance(count.this, exp.Star)]
    counts = [count for count in counts if count.find_ancestor(exp.Select) is select]
    if by_rows and counts and roots and item is first and (counted := _counted(joined, silent, tables)) != roots[0]:
        named, silent = [*spoken, counted] if counted else spoken, []
    else:
        counted, named = "", spoken
    for root in [*roots, *silent, *spoken]:
        path = _path(root, [name for name in named if name != root], tables)
        if path and {root, *(name for name, _ in path)} == set(joined):
            break
    else:
        return
    for count in counts if counted else ():
        count.set("this", exp.column(counted))
    for column in columns:
        if column.table == root:
            column.set("table", None)
    select.set("joins", None)
    select.set("from_", exp.From(this=exp.to_table(root)))


def _counted(joined: list[str], silent: list[str], tables: tuple[Table, ...]) -> str:
    """Which table's rows a join has as many of: the one that points to others and that none points to; "" if unclear."""
    links = {name: {target for _, target in keys} for name, _, keys in tables}
    many = [name for name in joined if not any(name in links[other] for other in joined)]
    return many[0] if len(many) == 1 else silent[0] if len(silent) == 1 else ""


def _expand(select: exp.Select, tables: tuple[Table, ...]) -> bool:
    """Join what `select` speaks of, qualify what is ambiguous; whether anything was changed."""
    start = select.args.get("from_")
    if start is None or not isinstance(start.this, exp.Table):
        return False
    owners = {name: set(columns) for name, columns, _ in tables}
    sources = {source.alias_or_name: source for source in _sources(select)}
    outer = {source.alias_or_name for above in _above(select) for source in _sources(above)}
    root = start.this.alias_or_name
    columns = list(_own_columns(select))
    rows_named = False
    wanted = [join.this.name for join in _bare_joins(select) if join.this.name in owners]
    have = {alias: owners.get(source.name, set()) for alias, source in sources.items() if isinstance(source, exp.Table)}
    known = len(have) == len(sources)
    for column in [column for column in columns if _is_table(column, owners, have)]:
        columns.remove(column)
        if isinstance(column.parent, exp.Count):
            column.replace(exp.Star())
            wanted += [column.name] if column.name not in sources else []
        elif key := _written_out(column.parent, column.name, [root, *sources], tables):
            columns.append(key)
        rows_named = True
    for test in [test for test in select.find_all(exp.Exists) if test.find_ancestor(exp.Select) is select]:
        table = _without_from(test.this)
        if table in owners and (key := _written_out(test, table, [root, *sources], tables)):
            columns.append(key)
            rows_named = True
    for column in columns:
        if column.table in owners and column.table not in {*sources, *outer}:
            wanted.append(column.table)
        elif not column.table and known and not any(column.name in own for own in have.values()):
            above = any(column.name in owners.get(name, ()) for name in outer)
            having = [name for name, own in owners.items() if column.name in own]
            if having and not above:
                nearest = _nearest(root, having, tables)
                column.set("table", exp.to_identifier(nearest))
                wanted.append(nearest)
    path = _path(root, [name for name in dict.fromkeys(wanted) if name != root], tables, set(have) - set(wanted))
    changed = bool(path) or rows_named
    if path:
        for join in _bare_joins(select):
            join.pop()
        for name, on in path:
            select.join(exp.to_table(name), on=sqlglot.parse_one(on, read=DIALECT), copy=False)
    everything = {**have, **{name: owners[name] for name, _ in path}}
    for column in columns:
        if not column.table and not isinstance(column.this, exp.Star):
            having = [name for name, own in everything.items() if column.name in own]
            if having and (path or len(having) > 1):
                column.set("table", exp.to_identifier(root if root in having else having[0]))
                changed = True
    return changed


def _is_table(column: exp.Column, owners: dict[str, set[str]], have: dict[str, set[str]]) -> bool:
    """Whether what reads as a column is a table, named for its rows: in a COUNT, or to be null or not."""
    named = not column.table and column.name in owners and not any(column.name in own for own in have.values())
    nullness = isinstance(column.parent, exp.Is) and isinstance(column.parent.expression, exp.Null)
    return named and (nullness or isinstance(column.parent, exp.Count))


def _without_from(query: exp.Expression) -> str:
    """The t of `SELECT t WHERE …`; "" for any other query."""
    bare = isinstance(query, exp.Select) and not query.args.get("from_")
    items = query.expressions if bare else []
    return items[0].name if len(items) == 1 and isinstance(items[0], exp.Column) and not items[0].table else ""


def _written_out(
    test: exp.Is | exp.Exists, table: str, sources: list[str], tables: tuple[Table, ...]
) -> exp.Column | None:
    """Write `t IS NULL` or `EXISTS (SELECT t WHERE …)` out, by the key between t and the first source that has one: as IN,
    or where the source refers to t as the key's own nullness.

    The column that it is asked of, or None where no key leads to t.
    """
    links = _links(tables).get(table, {})
    source = next((name for name in sources if name in links), "")
    if not source:
        return None
    key = exp.column(_side(links[source], source), source if source != sources[0] else None)
    if isinstance(test, exp.Is) and _refers(source, table, tables):
        test.this.replace(key)  # a row that refers to none: its own column is NULL
        return key
    given = test.this.args if isinstance(test, exp.Exists) else {}
    conditions = {part: given[part] for part in ("where", "having") if given.get(part)}
    inner = _keys_of(table, _side(links[source], table), conditions)
    if isinstance(test, exp.Exists):
        # The same node, which `expand` comes to in its turn.
        for part in ("expressions", "from_", "group"):
            test.this.set(part, inner.args.get(part))
        inner = test.this
    negated = isinstance(test.parent, exp.Not)
    member = exp.In(this=key, query=exp.Subquery(this=inner))
    some = negated != isinstance(test, exp.Exists)
    (test.parent if negated else test).replace(member if some else exp.Not(this=member))
    return key


def _refers(source: str, target: str, tables: tuple[Table, ...]) -> bool:
    """Whether rows of `source` refer to one of `target`: by the key of the target, and not by their own."""
    link, first = _links(tables)[source][target], {name: own[0] for name, own, _ in tables}
    return _side(link, target) == first[target] and _side(link, source) != first[source]


def _sources(select: exp.Select) -> list[exp.Expression]:
    start = select.args.get("from_")
    return [start.this, *(join.this for join in select.args.get("joins") or [])] if start else []


def _bare_joins(select: exp.Select) -> list[exp.Join]:
    """Joins of a plain table that say neither how nor that every row goes with every other."""
    return [
        join
        for join in select.args.get("joins") or []
        if isinstance(join.this, exp.Table)
        and not (join.args.get("on") or join.args.get("using") or join.kind or join.side or join.method)
        and not join.this.alias
    ]


def _own_columns(select: exp.Select) -> Iterator[exp.Column]:
    """The columns written in `select` itself and in none of its subqueries."""
    for column in select.find_all(exp.Column):
        if column.find_ancestor(exp.Select) is select:
            yield column


def _in_join(column: exp.Column, select: exp.Select) -> bool:
    join = column.find_ancestor(exp.Join)
    return join is not None and join.parent is select


def _above(select: exp.Select) -> Iterator[exp.Select]:
    above = select.find_ancestor(exp.Select)
    while above is not None:
        yield above
        above = above.find_ancestor(exp.Select)


# --- foreign keys -------------------------------------------------------------------------------------------------
@lru_cache(maxsize=4096)
def _links(tables: tuple[Table, ...]) -> dict[str, dict[str, str]]:
    """For each table those that a foreign key joins to it, with the condition; the first key counts where two do.

    A schema that declares no key between two tables is read as people read it: the first column of one, by the same name
    in the other, is what joins them.
    """
    columns = {name: own for name, own, _ in tables}
    links: dict[str, dict[str, str]] = {name: {} for name in columns}

    def add(one: str, column: str, other: str, key: str) -> None:
        if one != other and other not in links[one]:
            links[one][other] = links[other][one] = f"{one}.{column} = {other}.{key}"

    for name, _, keys in tables:
        for column, target in keys:
            if target in columns:
                add(name, column, target, column if column in columns[target] else columns[target][0])
    for name, own, _ in tables:
        for other, theirs, _ in tables:
            if name != other and own[0] in theirs and own[0].endswith("id") and own[0] != "id":
                add(other, own[0], name, own[0])
    return links


def _path(
    root: str, wanted: list[str], tables: tuple[Table, ...], present: set[str] = frozenset()
) -> list[tuple[str, str]]:
    """(table, condition) in the order to join them, so that all `wanted` are reached from `root`; [] where one can't be."""
    links = _links(tables)
    reached = [root, *sorted(present - {root})]
    joins: list[tuple[str, str]] = []
    for name in wanted:
        if name in reached:
            continue
        # Breadth first from all that is joined already: the shortest way in.
        came: dict[str, str] = {}
        front = [start for start in reached if start in links]
        while front and name not in came:
            following = []
            for here in front:
                for there in links[here]:
                    if there not in came and there not in reached:
                        came[there] = here
                        following.append(there)
            front = following
        if name not in came:
            return []
        steps = [name]
        while steps[-1] not in reached:
            steps.append(came[steps[-1]])
        for before, here in zip(reversed(steps), list(reversed(steps))[1:], strict=False):
            joins.append((here, links[before][here]))
            reached.append(here)
    return joins


def _nearest(root: str, names: list[str], tables: tuple[Table, ...]) -> str:
    return min(names, key=lambda name: len(_path(root, [name], tables)) or 99)
