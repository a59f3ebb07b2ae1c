"""Which part of a schema a question is about, by the names that its gloss has found.

    focus("players level 30 >= nickname", context) -> "players(player_id, nickname, level)"

Showing the model the tables and columns it needs, and few others, saves tokens and keeps it from mixing them up.
"""

from __future__ import annotations

import re

from recipes.ko_text2sql.schema_text import Table, compact_tables, parse_tables

# How databases call the column by which people know a row: what "who" and "which" ask for.
LABEL = re.compile(r"(^|_)(name|nickname|username|title|label)$")

# Words of a gloss that say how, and never which column.
GRAMMAR = frozenset(
    [
        "per",
        "COUNT",
        "SUM",
        "AVG",
        "MIN",
        "MAX",
        ">",
        ">=",
        "<",
        "<=",
        "=",
        "than",
        "not",
        "no",
        "null",
        "never",
        "ever",
        "most",
        "high",
        "low",
        "order",
        "DESC",
        "all",
        "distinct",
        "or",
        "and",
        "between",
        "top",
        "which",
        "who",
        "how",
        "much",
        "exists",
        "same",
        "only",
        "each",
        "1",
        "contains",
        "starts",
        "ends",
        "ever",
        "exactly",
        "different",
        "both",
    ]
)
COUNTED = frozenset(["COUNT", "SUM", "AVG", "top"])


def focus(gloss: str, context: str) -> str:
    """The compact schema of what `gloss` speaks of, the table most spoken of first; all of it where it names nothing.

    A table counts when the gloss names it, or a column that no named table has; two tables without a direct foreign
    key between them bring the table that links both. Of a table's columns those count that the gloss names, keys,
    foreign keys and names; all of them where a word or number is left that no column claims. Such a word, if Korean,
    may also be a name in a table next to these (`디자인팀 employees` needs departments): it brings those along.
    Text that is no DDL comes back as it is.
    """
    tables = parse_tables(context)
    if not tables:
        return context.strip()
    words = gloss.split()
    owners: dict[str, list[str]] = {}
    for name, columns, _ in tables:
        for column in columns:
            owners.setdefault(column, []).append(name)
    chosen = _chosen(words, tables, owners)
    if not chosen:
        return compact_tables(tables)
    by_name = {table[0]: table for table in tables}
    left = _unclaimed(words, set(owners), set(by_name))
    if any(re.search("[가-힣]", word) for word in left):
        chosen += [name for name in _neighbours(chosen, tables) if name not in chosen]
    shown = [by_name[name] for name in chosen]
    return compact_tables(tuple(_narrow(table, set(words), set(chosen), bool(left)) for table in shown))


def _narrow(table: Table, words: set[str], chosen: set[str], whole: bool) -> Table:
    """The columns to show: a key to a table that is not shown tells nothing, unless the words name it."""
    name, columns, keys = table
    targets = dict(keys)

    def tells(at: int, column: str) -> bool:
        if at == 0 or column in words:
            return True
        if column in targets:
            return targets[column] in chosen
        return whole or column.endswith("_id") or bool(LABEL.search(column))

    return name, tuple(column for at, column in enumerate(columns) if tells(at, column)), keys


def _chosen(words: list[str], tables: tuple[Table, ...], owners: dict[str, list[str]]) -> list[str]:
    """Names of the tables that the words speak of, in the order in which the words bring them up."""
    names = {name for name, _, _ in tables}
    chosen = list(dict.fromkeys(word for word in words if word in names))
    for word in words:
        having = owners.get(word, []) if word not in names else []
        if having and not set(having) & set(chosen):
            chosen += having
    return chosen + _between(chosen, tables)


def _unclaimed(words: list[str], columns: set[str], tables: set[str]) -> list[str]:
    """The words that are no name of the schema, no word of the grammar, and that no column or count beside them claims."""
    left = []
    for before, word, after in zip(["", *words], words, [*words[1:], ""], strict=False):
        known = word in columns or word in tables or word in GRAMMAR or before in columns
        counted = word[0].isdigit() and (after in columns or before in COUNTED)
        if not known and not counted:
            left.append(word)
    return left


def _neighbours(chosen: list[str], tables: tuple[Table, ...]) -> list[str]:
    """Tables that the chosen ones point to; where they point to none, those that point to them."""
    parents = [target for name, _, keys in tables if name in chosen for _, target in keys]
    children = [name for name, _, keys in tables if any(target in chosen for _, target in keys)]
    known = {name for name, _, _ in tables}
    return [name for name in dict.fromkeys(parents or children) if name in known]


def _between(chosen: list[str], tables: tuple[Table, ...]) -> list[str]:
    """The tables that link two chosen ones which no foreign key joins directly."""
    links = {name: {target for _, target in keys} for name, _, keys in tables}

    def joined(one: str, other: str) -> bool:
        return other in links[one] or one in links[other]

    added: list[str] = []
    for at, one in enumerate(chosen):
        for other in chosen[at + 1 :]:
            if any(joined(one, via) and joined(other, via) for via in [one, other]) or joined(one, other):
                continue
            via = [name for name in links if name not in chosen and joined(one, name) and joined(other, name)]
            added += [name for name in via[:1] if name not in added]
    return added
