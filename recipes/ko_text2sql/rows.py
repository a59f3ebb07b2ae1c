"""The rows of the task: training rows over seven domains, 112 hand-written test rows on the eighth.

    splits = make(seed=0, train_rows=5000)

A domain is added by a file `domains/<name>.yaml`. Without questions of its own it is asked what shapes.py can ask of any
domain; a file `questions/<name>.jsonl` with id, question and answer makes its rows sound like people.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from itertools import islice, repeat, tee
from pathlib import Path
from random import Random

import sqlglot
from judge.hardness import hardness
from sqlglot import exp

from recipes.ko_text2sql.compose import composed_rows
from recipes.ko_text2sql.disguise import disguise
from recipes.ko_text2sql.domains import HERE, ddl, load_domains, tables_of
from recipes.ko_text2sql.focus import focus
from recipes.ko_text2sql.generator import Instance, TooFewRows, as_written, stream
from recipes.ko_text2sql.holdout import hold_out
from recipes.ko_text2sql.linking import hint
from recipes.ko_text2sql.patterns import Pattern, lift
from recipes.ko_text2sql.queries import is_form, own_names
from recipes.ko_text2sql.shapes import shape_rows
from recipes.ko_text2sql.shorthand import shorten
from scripts.parallel import mapped

TEST_DOMAIN = "game"
LITERAL = re.compile(r"'(?:[^']|'')*'|\b\d+(?:\.\d+)?\b")
MOST_TABLES = 6  # that a context shows
DISTRACTORS = [1, 1, 1, 2, 2, 3, 5]  # how many tables a query doesn't read are shown, where any are
CHUNK = 256  # rows a task where prompts are tried on all cores
SQLITE_TYPES = [
    (r"\b(?:BIG)?INT\b", "INTEGER"), (r"\bVARCHAR\(\d+\)", "TEXT"), (r"\bDECIMAL\(\d+,\d+\)", "REAL"),
]  # fmt: skip


def make(
    seed: int = 0, train_rows: int | None = None, hand_written: bool = True, rename_share: float = 0.3,
    keep_columns: float = 0.5, distractor_share: float = 0.3, longest_answer: int | None = None,
    answerable_only: bool = False, disguise_share: float = 0.0, shapes: bool = False, composed: int = 0,
    questions: str = "questions", sqlite_share: float = 0.0, paraphrases: bool = True, shuffle_share: float = 0.15,
    hold_out_patterns: float = 0.0, hold_out_families: float = 0.0, hold_out_domains: str = "",
    folder: str | Path = HERE,
) -> dict[str, list[dict]]:  # fmt: skip
    """Rows by split: dicts with id, db_id, context (DDL), question, answer. The same arguments give the same bytes.

    train_rows: how many; None for the hand-written ones alone. Hand-written rows come first, generated ones fill up.
    rename_share: share of the training rows whose tables and columns have other English names; 0 for none.
    keep_columns: how likely a column that the query doesn't need is shown; 1 for whole tables.
    distractor_share: share of the training rows that show a table which the query doesn't read.
    longest_answer: leave out training rows whose query has more characters than this in shorthand.
    answerable_only: leave out training rows whose short prompt lacks a table or a value that their query needs: they
        would teach a model to make things up.
    disguise_share: share of the training rows that get `names`, other names which the short prompt puts on last.
    shapes: ask the domains that have questions of their own also what any domain can be asked.
    composed: so many questions a table put together from parts (compose.py), as further patterns beside the hand-written.
    questions: the folders of the hand-written rows, by commas; in each a file a domain.
    sqlite_share: share of the training rows with SQLite's DDL and SQL; these have `dialect: sqlite`.
    paraphrases: generated questions may be said otherwise as a whole (grammar/paraphrases.yaml).
    shuffle_share: share of the tables shown whose columns stand in another order.
    hold_out_patterns, hold_out_families: shares of the hand-written rows that training never sees, as patterns of their
        own and by families (all whose queries have one shape); hold_out_domains: names, by commas. What was held out
        comes as splits of its own: held_patterns, held_families, held_domains.
    folder: where `domains/`, `questions/` and `test_rows.jsonl` are. Test rows are whole tables, as they name them.
    Raises ValueError where a query names what its domain lacks, or where train_rows can't be reached.
    """
    folder = Path(folder)
    domains = load_domains(folder)
    test = [_test_row(domains[TEST_DOMAIN], row) for row in read(folder / "test_rows.jsonl")]
    patterns, held = hold_out(
        hand_written_patterns(folder, shapes, composed, questions),
        seed,
        hold_out_patterns,
        hold_out_families,
        hold_out_domains,
    )
    if longest_answer:
        patterns = [
            pattern for pattern in patterns if not _too_long(pattern.row["answer"], pattern.domain, longest_answer)
        ]
    written = _balanced([p for p in patterns if "shape" not in p.row], seed) if hand_written else []
    if train_rows is None and not hand_written:
        raise ValueError("without the hand-written rows say how many rows to make: data.train_rows in the recipe")
    shuffled = Random(f"order:{seed}")

    def training(id: str, instance: Instance) -> dict:
        row = _training_row(id, instance, seed, rename_share, keep_columns, distractor_share, shuffle_share)
        return in_sqlite(row) if Random(f"sqlite:{seed}:{id}").random() < sqlite_share else row

    def good(rows: Iterable[dict]) -> Iterator[dict]:
        """The rows that the options allow, in their order, with other names where the options say so."""
        rows, again = tee(
            row for row in rows if not (longest_answer and _too_long(row["answer"], row["context"], longest_answer))
        )
        missing = mapped(missing_from_prompt, again, chunk=CHUNK) if answerable_only else repeat([])
        for row, lacks in zip(rows, missing, strict=False):
            dice = Random(f"disguise:{seed}:{row['id']}")
            if not lacks:
                disguised = dice.random() < disguise_share
                yield row | ({"names": disguise(row["context"], dice)} if disguised else {})

    train = list(islice(good(training(p.row["id"], as_written(p)) for p in written), train_rows))
    shuffled.shuffle(train)
    if train_rows and len(train) < train_rows:
        missing = train_rows - len(train)
        count: dict[str, int] = {}

        def generated() -> Iterator[dict]:
            # Some will be left out, so more are made than are missing.
            most = missing * 2 if longest_answer or answerable_only else missing
            for instance in stream(patterns, most, seed, paraphrases):
                of = instance.pattern.row["id"]
                count[of] = count.get(of, 0) + 1
                yield training(f"{of}-g{count[of]}", instance)

        train += islice(good(generated()), missing)
        if len(train) < train_rows:
            raise TooFewRows(f"only {len(train)} rows to be had; lower data.train_rows or write more questions")
    made = {"train": train, "test": test}
    return made | {split: [held_row(pattern) for pattern in rows] for split, rows in held.items()}


def _too_long(query: str, schema: dict | str, longest: int) -> bool:
    """Whether `query` has more than `longest` characters in shorthand; `schema`: its context, or its whole domain."""
    if len(query) <= longest:  # shorthand is hardly ever longer
        return False
    return len(shorten(query, schema if isinstance(schema, str) else ddl(schema, list(schema["tables"])))) > longest


def missing_from_prompt(row: dict) -> list[str]:
    """The tables, columns and values of a row's query, in shorthand, that its short prompt does not show."""
    gloss = hint(row["question"], row["context"])
    schema = focus(gloss, row["context"])
    tables, columns, values = names_and_values(shorten(row["answer"], row["context"]))
    tables = [table for table in tables if f"{table}(" not in schema]
    shown = set(re.findall(r"\w+", schema))
    columns = [column for column in columns if column not in shown]
    values = [value.strip("%") for value in values]
    # A year's or month's bounds are written out from what the prompt says; 0 and 1 are how flags and "one" are said.
    dates = [value for value in values if re.fullmatch(r"\d{4}-\d\d-\d\d.*", value)]
    said = [value for value in values if value not in ("0", "1") and value not in dates]
    return tables + columns + [value for value in said if value not in gloss]


def names_and_values(query: str) -> tuple[list[str], list[str], list[str]]:
    """The tables, columns and literals of a query; by signs alone where it is plain enough, six times as fast.

    Names that the query makes itself and constants that only its form needs are none of them.
    """
    if re.search(r" AS |WITH |CASE |EXISTS |100|[a-z]\w* T\d", query):
        tree = sqlglot.parse_one(query, read="mysql")
        own = own_names(tree)
        return (
            [table.name for table in tree.find_all(exp.Table) if table.name not in own],
            [column.name for column in tree.find_all(exp.Column) if column.name not in (*own, "", "*")],
            [str(value.this) for value in tree.find_all(exp.Literal) if not is_form(value)],
        )
    values = [(text[1:-1].replace("''", "'") if text[0] == "'" else text) for text in LITERAL.findall(query)]
    bare = LITERAL.sub(" ", query)
    tables = re.findall(r"\b(?:FROM|JOIN) (\w+)", bare)
    columns = [name for name in re.findall(r"(?<!FROM )(?<!JOIN )\b[a-z_]\w*\b(?!\.)", bare)]
    return tables, columns, values


def read(path: Path) -> list[dict]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def hand_written_patterns(
    folder: Path = HERE, shapes: bool = False, composed: int = 0, questions: str = "questions"
) -> list[Pattern]:
    """The hand-written training rows as patterns, in the order of the domains and of their files.

    A domain without any has the rows of shapes.py instead; with `shapes` all domains have those besides. `composed`: so
    many rows a table of compose.py besides.
    """
    folders = [part.strip() for part in questions.split(",")]
    for files in folders:
        if files != "questions" and not (files and (folder / files).is_dir()):
            raise ValueError(f"data.options.questions: no folder {files!r} in {folder.name}/")
        strange = sorted(
            file.name for file in (folder / files).glob("*.jsonl") if file.stem not in load_domains(folder)
        )
        if strange:
            raise ValueError(f"{folder.name}/{files}/{strange[0]}: no domain of that name in {folder.name}/domains/")
    if isinstance(composed, bool):
        raise ValueError("data.options.composed: how many questions a table, a number")
    patterns = []
    for name, domain in load_domains(folder).items():
        if name == TEST_DOMAIN:
            continue
        rows = [row for files in folders for row in read(folder / files / f"{name}.jsonl")]
        rows += shape_rows(domain) if shapes or not rows else []
        rows += composed_rows(domain, composed) if composed else []
        patterns += [lift(row, domain) for row in rows]
    return patterns


def held_row(pattern: Pattern) -> dict:
    """A row that is held out of training, with whole tables, as test rows have them."""
    row, domain = pattern.row, pattern.domain
    made = _row(row["id"], domain, ddl(domain, tables_of(row["answer"])), row["question"], row["answer"])
    return made | {"hardness": hardness(row["answer"])}


def in_sqlite(row: dict) -> dict:
    """The row as SQLite has it: its types in the DDL, strftime for the parts of a date."""
    context = row["context"]
    for mysql, sqlite in SQLITE_TYPES:
        context = re.sub(mysql, sqlite, context)
    answer = re.sub(
        r"\b(YEAR|MONTH)\(([\w.]+)\)",
        lambda part: f"CAST(strftime('{'%Y' if part[1] == 'YEAR' else '%m'}', {part[2]}) AS INTEGER)",
        row["answer"],
    )
    return row | {"context": context, "answer": answer, "dialect": "sqlite"}


def _balanced(patterns: list[Pattern], seed: int) -> list[Pattern]:
    """Shuffled, the domains in turns, so that any beginning of the list holds as much of each as there is."""
    by_domain: dict[str, list[Pattern]] = {}
    for pattern in patterns:
        by_domain.setdefault(pattern.domain["name"], []).append(pattern)
    turns = []
    for name, rows in by_domain.items():
        Random(f"sample:{seed}:{name}").shuffle(rows)
        turns += list(enumerate(rows))
    turns.sort(key=lambda item: item[0])  # stable: within a turn the domains keep their order
    return [pattern for _, pattern in turns]


def _test_row(domain: dict, row: dict) -> dict:
    made = _row(row["id"], domain, ddl(domain, row["tables"]), row["question"], row["answer"])
    return made | {"hardness": hardness(row["answer"])}


def _row(id: str, domain: dict, context: str, question: str, answer: str) -> dict:
    return {"id": id, "db_id": domain["db_id"], "context": context, "question": question, "answer": answer}


# --- the schema of a training row ----------------------------------------------------------------------------------
def _training_row(
    id: str, instance: Instance, seed: int, rename_share: float, keep_columns: float, distractor_share: float,
    shuffle_share: float,
) -> dict:  # fmt: skip
    dice = Random(f"{seed}:{id}")
    domain = instance.pattern.domain
    used = instance.used()
    tables = sorted({table for table, _ in used})
    others = [table for table in domain["tables"] if table not in tables]
    if others and dice.random() < distractor_share:
        beside = min(dice.choice(DISTRACTORS), len(others), max(1, MOST_TABLES - len(tables)))
        tables += dice.sample(others, beside)
    dice.shuffle(tables)
    columns = {
        table: _shown(domain["tables"][table]["columns"], table, tables, used, keep_columns, shuffle_share, dice)
        for table in tables
    }
    renamed = _renamed(domain, tables, dice) if dice.random() < rename_share else {}
    context = ddl(domain, tables, columns, renamed)
    return _row(id, domain, context, instance.question, instance.sql(renamed))


def _shown(
    columns: dict, table: str, tables: list[str], used: set[tuple[str, str]], keep: float, shuffled: float, dice: Random
) -> list[str]:
    """The columns to show: what the query reads, the key, the label, links between shown tables; others by chance."""
    shown = []
    for column, about in columns.items():
        linked = about["role"] == "reference" and about["references"].split(".")[0] in tables
        needed = (table, column) in used or linked or about["role"] in ("key", "label")
        if needed or dice.random() < keep:
            shown.append(column)
    if dice.random() < shuffled:
        dice.shuffle(shown)
    return shown


def _renamed(domain: dict, tables: list[str], dice: Random) -> dict[tuple[str, str], str]:
    """Other English names: (table, column) or (table, '') to a name. No name twice among tables, or in a table."""
    renamed: dict[tuple[str, str], str] = {}
    taken = set(domain["tables"])
    for table in tables:
        about = domain["tables"][table]
        free = [name for name in about.get("english", ()) if name not in taken]
        if free and dice.random() < 0.6:
            renamed[table, ""] = dice.choice(free)
            taken.add(renamed[table, ""])
        names = set(about["columns"])
        plain_key = dice.random() < 0.25
        for column, described in about["columns"].items():
            options = ["id"] if described["role"] == "key" and plain_key else described.get("english", ())
            free = [name for name in options if name not in names]
            if free and (options == ["id"] or dice.random() < 0.5):
                renamed[table, column] = dice.choice(free)
                names.add(renamed[table, column])
    return renamed
