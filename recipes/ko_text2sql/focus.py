"""Which tables of a schema a question is about, by the names that its gloss has found.

    focus("players level 30 >= nickname", context) -> the compact schema of `players` alone

Showing the model the tables it needs and no others saves tokens, and keeps it from mixing them up.
"""

from __future__ import annotations

from recipes.ko_text2sql.schema_text import Table, compact_tables, parse_tables


def focus(gloss: str, context: str) -> str:
    """The compact schema of the tables that `gloss` speaks of, most spoken of first; all tables where it names none.

    A table counts when the gloss names it, or a column that no named table has; two tables without a direct foreign
    key between them bring the table that links both. Text that is no DDL comes back as it is.
    """
    tables = parse_tables(context)
    if not tables:
        return context.strip()
    chosen = _chosen(gloss.split(), tables)
    score = {table[0]: chosen.index(table[0]) for table in tables if table[0] in chosen}
    shown = sorted((table for table in tables if table[0] in score), key=lambda table: score[table[0]])
    return compact_tables(tuple(shown or tables))


def _chosen(words: list[str], tables: tuple[Table, ...]) -> list[str]:
    """Names of the tables that the words speak of, in the order in which the words bring them up."""
    names = {name for name, _, _ in tables}
    owners: dict[str, list[str]] = {}
    for name, columns, _ in tables:
        for column in columns:
            owners.setdefault(column, []).append(name)
    chosen = list(dict.fromkeys(word for word in words if word in names))
    for word in words:
        having = owners.get(word, []) if word not in names else []
        if having and not set(having) & set(chosen):
            chosen += having
    return chosen + _between(chosen, tables)


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
