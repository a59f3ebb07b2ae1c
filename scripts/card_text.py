"""The text of a data card: what was counted, as Markdown with the Hub's YAML front matter."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import yaml

from scripts.hub import MACHINE_PATH
from scripts.recipe import Recipe, read_text

if TYPE_CHECKING:
    from scripts.data_card import Survey

SIZES = [(10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M")]
LONGEST = 1500  # characters of an example's text


def card(recipe: Recipe, survey: Survey, files: dict[str, dict], repo: str | None) -> str:
    """The README.md of the data set's repo; `files` are those beside it: rows, bytes, hashes."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    settings = recipe.data.card
    pages = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True,
    )  # fmt: skip
    # No text of a row goes into the Markdown but through one of these: it may hold marks of its own.
    pages.filters |= {"cell": cell, "fenced": fenced, "share": share, "number": "{:,}".format}
    return pages.get_template("data_card.md.jinja").render(
        front=front(recipe, survey, files), card=settings, about=read_text(recipe.file(settings.about)).strip(),
        files=files, survey=survey, lengths=list(lengths(survey)), repo=repo or "user/name",
        license=settings.license or recipe.hub.license, columns=columns(survey), made=made(recipe),
        cleaning=report(recipe.run / "data" / "clean_report.json") if recipe.data.clean else {},
        author=author(recipe), counter=counter(recipe),
    )  # fmt: skip


def front(recipe: Recipe, survey: Survey, files: dict[str, dict]) -> str:
    settings, rows = recipe.data.card, sum(survey.rows.values())
    head: dict[str, Any] = {"license": settings.license or recipe.hub.license, "pretty_name": settings.title}
    head |= {"language": settings.languages} if settings.languages else {}
    head |= {"task_categories": settings.tasks} if settings.tasks else {}
    head["size_categories"] = [next((name for most, name in SIZES if rows < most), "n>10M")]
    head |= {"tags": settings.tags} if settings.tags else {}
    data_files = [{"split": about["split"], "path": name} for name, about in files.items()]
    head["configs"] = [{"config_name": "default", "data_files": data_files}]
    return yaml.safe_dump(head, allow_unicode=True, sort_keys=False).rstrip()


def columns(survey: Survey) -> list[tuple[str, str]]:
    from scripts.data_card import kind_of

    return [(column, kind_of(types).replace("json", "text (JSON)")) for column, types in survey.columns.items()]


def lengths(survey: Survey) -> Any:
    """A line each of text and split: how many are different, then middle, 95th of a hundred and longest, twice."""
    for text, by_split in survey.lengths.items():
        for split, counter in by_split.items():
            if counter:
                figures = [ranks(counter), ranks(survey.tokens[text][split])]
                yield text, split, survey.different(text, split), *figures[0], *figures[1]


def ranks(counter: Counter) -> tuple[int, int, int]:
    """The median, the 95th percentile and the largest of counted numbers."""
    total, seen, found = sum(counter.values()), 0, []
    for value in sorted(counter):
        seen += counter[value]
        while len(found) < 2 and seen >= (0.5, 0.95)[len(found)] * total:
            found.append(value)
    return found[0], found[1], max(counter)


def made(recipe: Recipe) -> str:
    """The recipe's settings that made the rows, as YAML; of paths only the names, which say nothing of a machine."""
    kept = {"rows", "files", "hub", "load", "columns", "options", "clean", "train_rows", "test_rows", "seed"}
    settings = recipe.data.model_dump(mode="json", include=kept, exclude_none=True)
    settings = {key: value for key, value in settings.items() if value != {}}

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, str) and (MACHINE_PATH.fullmatch(value) or value.startswith("..")):
            return PurePath(value).name
        return value

    return yaml.safe_dump(plain(settings), allow_unicode=True, sort_keys=False).rstrip()


def counter(recipe: Recipe) -> str:
    if recipe.data.card.tokens != "model":
        return f"tiktoken's {recipe.data.card.tokens}"
    local = recipe.model.startswith((".", "/", "~"))
    return f"the tokenizer of {PurePath(recipe.model).name if local else recipe.model}"


def author(recipe: Recipe) -> dict:
    """What a synthesis reported of the training rows, where they came from one."""
    if not recipe.data.files:
        return {}
    return report((recipe.folder / Path(recipe.data.files.train).expanduser()).with_name("report.json"))


def report(path: Path) -> dict:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def cell(value: object) -> str:
    """Any text as plain text within a table's cell."""
    text = " ".join(str(value).split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|~#!])", r"\\\1", text)


def fenced(value: object) -> str:
    """Any text in a fence that it can't close."""
    text = str(value)
    text = text if len(text) <= LONGEST else text[:LONGEST] + " …"
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"


def share(count: int, total: int) -> str:
    return f"{100 * count / total:.1f} %" if total else "–"
