"""The domains as data: `domains/<name>.yaml` describes tables, columns, Korean names, values and foreign keys."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import sqlglot
import yaml
from sqlglot import exp

HERE = Path(__file__).resolve().parent


@lru_cache
def load_domains(folder: Path = HERE) -> dict[str, dict]:
    """All domains in `folder`/domains by name, ordered by db_id."""
    domains = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in (folder / "domains").glob("*.yaml")]
    return {domain["name"]: domain for domain in sorted(domains, key=lambda domain: domain["db_id"])}


def ddl(
    domain: dict, tables: list[str], columns: dict[str, list[str]] | None = None,
    renamed: dict[tuple[str, str], str] | None = None,
) -> str:  # fmt: skip
    """The MySQL-flavoured CREATE TABLE statements of some of a domain's tables, in the order given.

    columns: the columns to show, by table; all where none are given. renamed: (table, column) or (table, '') to
    another identifier. A foreign key is declared where the table that it points to is among `tables`.
    """
    shown = {name: (columns or {}).get(name) or list(domain["tables"][name]["columns"]) for name in tables}
    return "\n".join(_create(domain["tables"][name], name, shown, renamed or {}) for name in tables)


def _create(table: dict, name: str, shown: dict[str, list[str]], renamed: dict[tuple[str, str], str]) -> str:
    lines, links = [], []
    for column in shown[name]:
        about = table["columns"][column]
        written = renamed.get((name, column), column)
        rule = " PRIMARY KEY" if about["role"] == "key" else "" if about.get("nullable") else " NOT NULL"
        lines.append(f"  {written} {about['type']}{rule}")
        if about["role"] == "reference":
            target, key = about["references"].split(".")
            if target in shown:
                reference = f"{renamed.get((target, ''), target)}({renamed.get((target, key), key)})"
                links.append(f"  FOREIGN KEY ({written}) REFERENCES {reference}")
    return f"CREATE TABLE {renamed.get((name, ''), name)} (\n" + ",\n".join(lines + links) + "\n);"


def tables_of(query: str) -> list[str]:
    """The tables a query reads, in the order they stand in it."""
    found = sqlglot.parse_one(query, read="mysql").find_all(exp.Table, bfs=False)
    return list(dict.fromkeys(table.name for table in found))
