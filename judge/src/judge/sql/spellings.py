"""One spelling for what MySQL lets one write in several ways; for `judge.exact`. Each rule keeps the meaning as it is."""

from __future__ import annotations

from sqlglot import exp

_NOW = {"NOW", "SYSDATE", "LOCALTIMESTAMP", "LOCALTIME"}
_PARTS = {"YEAR": exp.Year, "MONTH": exp.Month, "DAY": exp.Day}


def one_spelling(node: exp.Expression) -> exp.Expression:
    """The node or another in its place; its parts are rewritten already."""
    if isinstance(node, exp.Anonymous):
        return _named(node)
    if isinstance(node, (exp.Localtime, exp.Localtimestamp)):
        return exp.CurrentTimestamp()
    if isinstance(node, (exp.Like, exp.ILike)) and node.args.get("negate"):
        node.set("negate", None)
        return exp.Not(this=node)
    if isinstance(node, exp.Case) and not node.this and len(node.args["ifs"]) == 1:
        only = node.args["ifs"][0]
        return exp.If(this=only.this, true=only.args["true"], false=node.args.get("default"))
    if isinstance(node, (exp.DateAdd, exp.DateSub)):
        kind = exp.Add if isinstance(node, exp.DateAdd) else exp.Sub
        return kind(this=node.this, expression=exp.Interval(this=node.expression, unit=node.args.get("unit")))
    if isinstance(node, exp.DayOfMonth):
        return exp.Day(this=node.this)
    if isinstance(node, exp.Extract) and node.name.upper() in _PARTS:
        return _PARTS[node.name.upper()](this=exp.TsOrDsToDate(this=node.expression))
    if isinstance(node, exp.Cast) and isinstance(node.this, exp.Literal) and node.to.is_type("date"):
        return node.this  # DATE '2024-01-01'
    if isinstance(node, exp.GroupConcat):
        separator = node.args.get("separator")
        if separator is not None and separator.name == ",":
            node.set("separator", None)
    plain = (exp.Star, exp.Literal, exp.Column)
    if isinstance(node, exp.Exists) and all(isinstance(item, plain) for item in node.this.expressions):
        node.this.set("expressions", [exp.Literal.number(1)])  # what it gives is not looked at
    if isinstance(node, exp.Join) and node.args.get("side"):
        node.set("kind", None)  # LEFT OUTER JOIN
    if isinstance(node, exp.Table):
        node.set("db", None)
        node.set("catalog", None)
    return node


def _named(node: exp.Anonymous) -> exp.Expression:
    name = node.name.upper()
    if name in _NOW and not node.expressions:
        return exp.CurrentTimestamp()
    if name == "MID" and len(node.expressions) == 3:
        text, start, length = node.expressions
        return exp.Substring(this=text, start=start, length=length)
    return node


def number_ctes(tree: exp.Expression) -> None:
    """WITH names are free: they become cte#1, cte#2 in the order they stand in."""
    names = {}
    for number, cte in enumerate(tree.find_all(exp.CTE, bfs=False), 1):
        names.setdefault(cte.alias, f"cte#{number}")
        cte.args["alias"].set("this", exp.to_identifier(names[cte.alias]))
    for table in tree.find_all(exp.Table):
        if table.name in names:
            if not table.alias:  # columns are qualified by the old name
                table.set("alias", exp.TableAlias(this=exp.to_identifier(table.name)))
            table.set("this", exp.to_identifier(names[table.name]))


def spell_out_using(select: exp.Select) -> None:
    """JOIN u USING (id) as ON t.id = u.id, where one table stands before it and no * counts the column twice."""
    joins = select.args.get("joins") or []
    if len(joins) != 1 or not joins[0].args.get("using") or any(item.is_star for item in select.expressions):
        return
    left, right = select.args["from_"].this.alias_or_name, joins[0].this.alias_or_name
    tests = [
        exp.EQ(this=exp.column(name.name, table=left), expression=exp.column(name.name, table=right))
        for name in joins[0].args["using"]
    ]
    joins[0].set("using", None)
    joins[0].set("on", exp.and_(*tests))
