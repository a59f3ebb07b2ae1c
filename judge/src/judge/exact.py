"""Exact match: are two queries the same tree once spelling that cannot change the result is put aside?"""

from __future__ import annotations

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from judge.sql.spellings import number_ctes, one_spelling, spell_out_using

_SWAPPED = {exp.GT: exp.LT, exp.GTE: exp.LTE}
_NEGATED = {
    exp.EQ: exp.NEQ,
    exp.NEQ: exp.EQ,
    exp.LT: exp.GTE,
    exp.LTE: exp.GT,
    exp.GT: exp.LTE,
    exp.GTE: exp.LT,
}
_COMMUTATIVE = (exp.EQ, exp.NEQ, exp.NullSafeEQ, exp.Add, exp.Mul)


def exact_match(gold: str, prediction: str, dialect: str = "mysql") -> tuple[str, str]:
    """('yes' | 'no' | 'unscored', reason): whether the normalised syntax trees are equal.

    Put aside, because the result stays the same: case and quoting of names, table aliases, names of output
    columns, order of the outermost columns, order of AND, OR, IN, =, + and *, `a > b` as `b < a`, BETWEEN as two
    comparisons, <> as !=, INNER JOIN, comma joins and their order, redundant brackets, literal spellings
    (1.0, TRUE, DATE '2024-01-01'), COUNT(1), LIMIT a, b, one function's several names (NOW, MID, EXTRACT), IF and
    a CASE of one branch, DATE_ADD and + INTERVAL, USING for ON, names in WITH. Not seen as equal: what needs the schema or rewriting to prove (IN against
    JOIN, MAX against ORDER BY ... LIMIT 1); execution is the measure for those.

    A prediction that is no SQL or does not parse is 'no'; a gold that does not parse is 'unscored'.
    """
    try:
        expected = _parse(gold, dialect)
    except (SqlglotError, RecursionError, ValueError) as error:
        return "unscored", f"gold does not parse: {_first_line(error)}"
    if not (prediction or "").strip():
        return "no", "prediction is empty"
    try:
        given = _parse(prediction, dialect)
    except (SqlglotError, RecursionError, ValueError) as error:
        return "no", f"prediction does not parse: {_first_line(error)}"
    try:
        _share_bare_columns(expected, given)
        same = canonical(expected) == canonical(given)
    except RecursionError:
        return "no", "prediction is nested too deeply to compare"
    return ("yes", "same tree") if same else ("no", "different tree")


def string_match(gold: str, prediction: str | None) -> str:
    """'yes' where the two are one text, 'no' otherwise; space at the ends and a closing semicolon are put aside."""
    same = (gold or "").strip().rstrip(";").rstrip() == (prediction or "").strip().rstrip(";").rstrip()
    return "yes" if same else "no"


def canonical(tree: exp.Expression) -> str:
    """One spelling for all trees that differ only in ways listed at `exact_match`."""
    # repr keeps the structure: SQL text without brackets would make `a - (b - c)` and `a - b - c` the same.
    return _text(_node(tree, outermost=True))


def _parse(sql: str, dialect: str) -> exp.Expression:
    statements = [tree for tree in sqlglot.parse(sql, read=dialect) if tree is not None]
    if len(statements) != 1:
        raise ValueError(f"{len(statements)} statements where one is expected")
    tree = statements[0]
    while isinstance(tree, exp.Subquery) and not tree.alias and not _has_modifiers(tree):
        tree = tree.this
    if not isinstance(tree, exp.Query):
        raise ValueError(f"not a query: {tree.key.upper()}")
    for node in tree.walk():
        node.comments = None
        if isinstance(node, exp.Identifier):
            node.set("this", node.name.lower())
            node.set("quoted", False)
    number_ctes(tree)
    for scope in list(tree.find_all(exp.Select)):
        spell_out_using(scope)
        _resolve_output_names(scope)
    for scope in list(tree.find_all(exp.Select)):
        _resolve_tables(scope)
    _drop_output_names(tree)
    return tree


def _has_modifiers(tree: exp.Expression) -> bool:
    return any(tree.args.get(part) for part in ("order", "limit", "offset", "with_"))


def _resolve_output_names(scope: exp.Select) -> None:
    """Write expressions where GROUP BY, HAVING and ORDER BY use an output name or position.

    In GROUP BY and HAVING a column of the tables goes before an output name. Which columns they have is not known
    here, so a name counts as a column's where the query uses it in places that see no output names.
    """
    named = {item.alias: item.this for item in scope.expressions if isinstance(item, exp.Alias)}
    inputs = _input_names(scope)
    for part in ("group", "having", "order"):
        clause = scope.args.get(part)
        if clause is None:
            continue
        for node in list(clause.find_all(exp.Column)):
            if node.table or node.name not in named or node.find_ancestor(exp.Select) is not scope:
                continue
            meant = named[node.name]
            same = isinstance(meant, exp.Column) and meant.name == node.name  # t.name AS name is that column
            if part == "order" or same or node.name not in inputs:
                node.replace(meant.copy())
        if part == "having":
            continue
        for item in clause.expressions:
            key = item.this if isinstance(item, exp.Ordered) else item
            if isinstance(key, exp.Literal) and key.is_int and 0 < int(key.name) <= len(scope.expressions):
                key.replace(scope.expressions[int(key.name) - 1].unalias().copy())


def _input_names(scope: exp.Select) -> set[str]:
    """Names of the columns in what the query selects, joins on and filters by, not counting inner queries."""
    places = [*scope.expressions, *(scope.args.get("joins") or []), scope.args.get("where")]
    columns = [column for place in places if place is not None for column in place.find_all(exp.Column)]
    return {column.name for column in columns if column.find_ancestor(exp.Select) is scope}


def _resolve_tables(scope: exp.Select) -> None:
    """Qualify by the table's own name, a table used twice by its name and number; one table needs no qualifier."""
    sources = [node for node in _sources(scope) if isinstance(node, (exp.Table, exp.Subquery))]
    renamed: dict[str, str] = {}
    seen: dict[str, int] = {}
    for source in sources:
        base = source.name if isinstance(source, exp.Table) else "derived"
        seen[base] = seen.get(base, 0) + 1
        number = f"#{seen[base]}" if seen[base] > 1 else ""
        renamed[source.alias_or_name] = base + number
    for source in sources:
        new = renamed[source.alias_or_name]
        if isinstance(source, exp.Table):
            source.set("alias", exp.TableAlias(this=exp.to_identifier(new)) if new != source.name else None)
        else:
            source.set("alias", exp.TableAlias(this=exp.to_identifier(new)))
    own = {id(node) for node in scope.find_all(exp.Column) if node.find_ancestor(exp.Select) is scope}
    for column in scope.find_all(exp.Column):
        if column.table in renamed:
            if len(sources) == 1 and id(column) in own:
                column.set("table", None)
            else:
                column.set("table", exp.to_identifier(renamed[column.table]))
            column.set("db", None)


def _sources(scope: exp.Select) -> list[exp.Expression]:
    start = scope.args.get("from_")
    return ([start.this] if start else []) + [join.this for join in scope.args.get("joins") or []]


def _drop_output_names(tree: exp.Expression) -> None:
    """Names of the outermost columns are not part of the result; in a derived table they are needed."""
    if isinstance(tree, exp.SetOperation):
        _drop_output_names(tree.this)
        _drop_output_names(tree.expression)
    elif isinstance(tree, exp.Subquery):
        _drop_output_names(tree.this)
    elif isinstance(tree, exp.Select):
        tree.set("expressions", [item.unalias() for item in tree.expressions])


def _share_bare_columns(a: exp.Expression, b: exp.Expression) -> None:
    """`name` and `players.name` are one column where, in both queries, only one table is named with it.

    Sound because the database refuses a bare name that two tables of the query have. A qualifier that names no table
    of its query is left as it is: the database refuses that too.
    """
    columns = [column for tree in (a, b) for column in _columns_of_known_tables(tree)]
    tables: dict[str, set[str]] = {}
    for column in columns:
        tables.setdefault(column.name, set()).add(column.table)
    for column in columns:
        if "" in tables[column.name] and len(tables[column.name]) == 2:
            column.set("table", None)


def _columns_of_known_tables(tree: exp.Expression) -> list[exp.Column]:
    sources = {source.alias_or_name for scope in tree.find_all(exp.Select) for source in _sources(scope)}
    return [column for column in tree.find_all(exp.Column) if column.table in sources | {""}]


def _node(node: exp.Expression, outermost: bool = False) -> exp.Expression:
    """A new tree in canonical form, made from the leaves up. Only the outermost SELECT may order its columns anew:
    in an inner one, or in a part of a UNION, the place of a column can be what gives it its meaning."""
    node = node.copy()
    for key, value in list(node.args.items()):
        if isinstance(value, exp.Expression):
            node.set(key, _node(value))
        elif isinstance(value, list):
            node.set(key, [_node(item) if isinstance(item, exp.Expression) else item for item in value])
    return _rewrite(one_spelling(node), outermost)


def _rewrite(node: exp.Expression, outermost: bool = False) -> exp.Expression:
    if isinstance(node, exp.Paren):
        return node.this
    if isinstance(node, exp.Literal) and not node.is_string:
        return exp.Literal.number(_plain_number(node.name))
    if isinstance(node, exp.Boolean):
        return exp.Literal.number(int(node.this))
    if isinstance(node, exp.Count) and isinstance(node.this, exp.Literal):
        node.set("this", exp.Star())
        return node
    if isinstance(node, exp.Between):
        low = exp.LTE(this=node.args["low"], expression=node.this.copy())
        return _connect(exp.And, [low, exp.LTE(this=node.this, expression=node.args["high"])])
    if isinstance(node, exp.Not):
        inner = node.this
        if isinstance(inner, exp.Not):
            return inner.this
        if type(inner) in _NEGATED:
            return _rewrite(_NEGATED[type(inner)](this=inner.this, expression=inner.expression))
        return node
    if type(node) in _SWAPPED:
        return _SWAPPED[type(node)](this=node.expression, expression=node.this)
    if isinstance(node, _COMMUTATIVE):
        first, second = sorted((node.this, node.expression), key=_text)
        return type(node)(this=first, expression=second)
    if isinstance(node, (exp.And, exp.Or)):
        return _connect(type(node), list(node.flatten(unnest=True)))
    if isinstance(node, exp.In) and node.expressions:
        items = _unique(node.expressions)
        if len(items) == 1:
            return _rewrite(exp.EQ(this=node.this, expression=items[0]))
        node.set("expressions", items)
    if isinstance(node, exp.Ordered):
        node.set("desc", bool(node.args.get("desc")))
    if isinstance(node, exp.Offset) and node.expression and node.expression.name == "0":
        return exp.Offset()
    if isinstance(node, exp.Group):
        node.set("expressions", _unique(node.expressions))
    if isinstance(node, exp.SetOperation):
        sides = [_without_brackets(node.this), _without_brackets(node.expression)]
        if isinstance(node, (exp.Union, exp.Intersect)):
            sides.sort(key=_text)
        node.set("this", sides[0])
        node.set("expression", sides[1])
    if isinstance(node, exp.Select):
        return _select(node, outermost)
    return node


def _without_brackets(side: exp.Expression) -> exp.Expression:
    cut = isinstance(side, exp.Subquery) and (_has_modifiers(side) or _has_modifiers(side.this))
    return side.this if isinstance(side, exp.Subquery) and not cut else side


def _select(node: exp.Select, outermost: bool) -> exp.Select:
    joins = node.args.get("joins") or []
    starred = any(item.is_star for item in node.expressions)
    plain = all(
        not join.args.get("side") and not join.args.get("method") and not join.args.get("using")
        and (join.args.get("kind") or "") in ("", "INNER", "CROSS") for join in joins
    )  # fmt: skip
    if joins and plain:
        where = node.args.get("where")
        conditions = [join.args["on"] for join in joins if join.args.get("on")] + ([where.this] if where else [])
        sources = _sources(node)
        if not starred:
            sources = sorted(sources, key=_text)
        node.set("from_", exp.From(this=sources[0]))
        node.set("joins", [exp.Join(this=source) for source in sources[1:]])
        if conditions:
            node.set("where", exp.Where(this=_connect(exp.And, conditions)))
    offset = node.args.get("offset")
    if offset is not None and offset.expression is None:
        node.set("offset", None)
    if not starred and outermost:
        node.set("expressions", sorted(node.expressions, key=_text))
    return node


def _connect(kind: type[exp.Connector], parts: list[exp.Expression]) -> exp.Expression:
    flat = [piece for part in parts for piece in (part.flatten(unnest=True) if isinstance(part, kind) else [part])]
    if kind is exp.And:
        flat = [piece for piece in flat if piece != exp.Literal.number(1)] or flat[:1]
    items = _unique(flat)
    tree = items[0]
    for item in items[1:]:
        tree = kind(this=tree, expression=item)
    return tree


def _unique(items: list[exp.Expression]) -> list[exp.Expression]:
    by_text = {_text(item): item.copy() for item in items}
    return [by_text[text] for text in sorted(by_text)]


def _text(node: exp.Expression) -> str:
    # Brackets round AND/OR are dropped from the tree, so the text must keep kinds apart itself.
    return repr(node)


def _plain_number(text: str) -> str:
    try:
        value = float(text)
    except ValueError:
        return text
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
