"""What makes a row of the task a good one, for `data.clean` in a recipe:

    data:
      clean: {check: recipes.ko_text2sql.cleaning:check, alike: recipes.ko_text2sql.cleaning:alike}

The query parses, names only what the DDL has, runs on databases made from the DDL, finds something on one of them at
least, and speaks of the same values as the question. It runs in the judge's sandbox, since a data set may hold anything.

Limits: a column that exists but is the wrong one shows only where the query then fails or can find nothing; and a value
that both sides have in common is right wherever it stands.
"""

from __future__ import annotations

import re
from functools import lru_cache

from judge.exact import exact_match
from judge.execution import GoldRun, run_gold
from judge.sql.queries import QueryError, parse_query
from judge.sql.schema import Schema, SchemaError, parse_schema
from sqlglot import exp

from recipes.ko_text2sql.agreement import disagreements

CREATE = re.compile(r"\bCREATE\s+(?:TEMPORARY\s+)?TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?", re.I)
QUOTES = '`"[]'
NAME = re.compile(r"`[^`]+`|\"[^\"]+\"|\[[^\]]+\]|[^\s(]+")
COLUMN = re.compile(r"[(,]\s*(?:`([^`]+)`|\"([^\"]+)\"|(\w+))\s+([A-Za-z]+(?:\(\d+\))?)")
NO_COLUMNS = {"PRIMARY", "FOREIGN", "UNIQUE", "KEY", "INDEX", "CONSTRAINT", "CHECK", "FULLTEXT"}
NO_NAMES = {
    "SELECT", "FROM", "WHERE", "ORDER", "GROUP", "BY", "HAVING", "LIMIT", "UNION", "JOIN", "ON", "AND", "OR", "NOT",
    "DISTINCT", "SET", "INTO",
}  # fmt: skip


def check(
    row: dict, instances: int = 3, dialect: str = "mysql", timeout: float = 2.0, literals: bool = True,
    foreign_values: bool = False,
) -> dict:  # fmt: skip
    """Faults and names of a row, as `scripts.cleaning` asks for them.

    instances: databases made to run a query on; where all are empty, twenty are tried before it is called so.
    dialect: of a row that does not say its own as `dialect`. timeout: CPU seconds for all runs of a query. literals: compare the values of question and query. foreign_values:
    let values in Latin letters pass that a Korean question does not have, as in translated data sets.
    """
    context = row.get("context") or ""
    dialect = row["dialect"] if row.get("dialect") in ("mysql", "sqlite") else dialect
    names, flags = names_and_flags(context)
    try:
        tree = parse_query(row["answer"], dialect)
        refuse_reserved_aliases(tree)
    except QueryError as error:
        return {"faults": [("does not parse", str(error))], "names": names}
    faults = run_faults(context, row["answer"], tree, instances, dialect, timeout)
    if literals:
        found = disagreements(row["question"], tree, flags, foreign_values)
        faults += [("values disagree", "; ".join(found))] if found else []
    return {"faults": faults, "names": names}


def alike(first: str, second: str) -> bool:
    """Whether two queries are one in another spelling."""
    return first == second or exact_match(first, second)[0] == "yes"


def refuse_reserved_aliases(tree: exp.Expression) -> None:
    """The parser takes the ORDER of `FROM t ORDER GROUP BY 1` for a name; MySQL does not. Raises QueryError."""
    for node in tree.find_all(exp.TableAlias, exp.Alias):
        name = node.this if isinstance(node, exp.TableAlias) else node.args["alias"]
        if isinstance(name, exp.Identifier) and not name.quoted and name.name.upper() in NO_NAMES:
            raise QueryError("sql_error", f"does not parse: {name.name} stands where a name is expected")


def run_faults(
    context: str, query: str, tree: exp.Expression, instances: int, dialect: str, timeout: float
) -> list[tuple[str, str]]:  # fmt: skip
    found = gold_run(context, query, instances, dialect, timeout)
    if found.error is None and not found.non_empty and instances < 20:
        found = gold_run(context, query, 20, dialect, timeout)
    if found.error:
        try:
            unknown = unknown_names(tree, parse_schema(context))
        except SchemaError as error:
            return [("does not parse", f"context: {error}")]
        if unknown or re.search(r"no such (column|table)|ambiguous", found.error, re.I):
            return [("not in the schema", unknown[0] if unknown else found.error)]
        return [("does not run", found.error)]
    if not found.non_empty:
        return [("always empty", f"gives nothing on any of {found.instances} databases made from its DDL")]
    return []


@lru_cache(maxsize=4096)
def gold_run(context: str, query: str, instances: int, dialect: str, timeout: float) -> GoldRun:
    """A generator writes the same query of the same schema for several questions: it is run once."""
    return run_gold(context, query, instances=instances, dialect=dialect, timeout=timeout)


def unknown_names(tree: exp.Expression, schema: Schema) -> list[str]:
    """Tables and columns that neither the DDL has nor the query itself makes; which table has them is left to running."""
    own = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
    own |= {node.name.lower() for node in tree.find_all(exp.TableAlias)}
    tables = [table.name for table in tree.find_all(exp.Table) if table.name.lower() not in own | set(schema)]
    made = own | {node.alias.lower() for node in tree.find_all(exp.Alias)}
    made |= {
        column.name.lower() for alias in tree.find_all(exp.TableAlias) for column in alias.args.get("columns") or []
    }
    known = {column for about in schema.values() for column in about.columns} | made
    columns = [column.name for column in tree.find_all(exp.Column) if column.name.lower() not in known | {"*", ""}]
    return [f"no table {name}" for name in tables] + [f"no column {name}" for name in columns]


def names_and_flags(context: str) -> tuple[list[str], set[str]]:
    """(names as `table.column`, the yes-no columns), in small letters, by signs alone.

    A parser would take as long for this as all the rest of a row's rules; it is asked where the signs say nothing.
    """
    names, flags = [], set()
    for statement in CREATE.split(context)[1:]:
        table = NAME.match(statement)
        for found in COLUMN.finditer(statement):
            column = next(filter(None, found.groups()[:3])).lower()
            if column.upper() not in NO_COLUMNS:
                names.append(f"{table[0].strip(QUOTES).lower() if table else ''}.{column}")
                flags |= {column} if re.match(r"bool|tinyint\(1\)|bit", found[4], re.I) else set()
    if not names:
        try:
            schema = parse_schema(context)
        except SchemaError:
            return [], set()
        names = [f"{table}.{column}" for table, about in schema.items() for column in about.columns]
    return names, flags
