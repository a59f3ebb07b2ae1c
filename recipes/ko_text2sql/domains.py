"""The domains as data: `domains/<name>.yaml` describes tables, columns, Korean names, values and foreign keys."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import sqlglot
import yaml
from sqlglot import exp

HERE = Path(__file__).resolve().parent


@lru_cache
def load_domains() -> dict[str, dict]:
    """All domains by name, ordered by db_id."""
    domains = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in (HERE / "domains").glob("*.yaml")]
    return {domain["name"]: domain for domain in sorted(domains, key=lambda domain: domain["db_id"])}


def ddl(domain: dict, tables: list[str]) -> str:
    """The MySQL-flavoured CREATE TABLE statements of some of a domain's tables, in the order given."""
    return "\n".join(_create(domain["tables"][name], name, set(tables)) for name in tables)


def _create(table: dict, name: str, shown: set[str]) -> str:
    lines, links = [], []
    for column, about in table["columns"].items():
        key = about["role"] == "key"
        lines.append(f"  {column} {about['type']}{' PRIMARY KEY' if key else ''}")
        if about["role"] == "reference":
            target, target_column = about["references"].split(".")
            if target in shown:
                links.append(f"  FOREIGN KEY ({column}) REFERENCES {target}({target_column})")
    return f"CREATE TABLE {name} (\n" + ",\n".join(lines + links) + "\n);"


def tables_of(query: str) -> list[str]:
    """The tables a query reads, in the order they stand in it."""
    found = sqlglot.parse_one(query, read="mysql").find_all(exp.Table, bfs=False)
    return list(dict.fromkeys(table.name for table in found))
