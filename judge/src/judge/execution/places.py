"""Where `judge execution` judges: on made databases, on the data set's own, or on the user's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from judge.text import UserError, read_rows, texts_digest


def judge_file(
    path: Path, *, id: str, gold: str, prediction: str, context: str, db_id: str, dialect: str | None,
    timeout: float | None, databases: Path | None, database: str | None, made: dict[str, Any],
    warn: Callable[[str], None], **shared: Any,
) -> tuple[list[dict], str]:  # fmt: skip
    """(verdicts in the rows' order, the place as a summary says it) of the rows in a file.

    Each verdict has `texts`, by which `judge csv` knows that reference and prediction are still the same.
    databases: a folder of SQLite files. database: a URL, which counts where there is no such folder. made: options
    for made databases alone. dialect and timeout None are the place's own. Raises UserError.
    """
    shared |= {"id": id, "gold": gold, "prediction": prediction}
    if timeout is not None:
        shared["timeout"] = timeout
    table: list[dict] = []

    def rows(*needs: str) -> list[dict]:
        table.extend(read_rows(path, id_column=id, needs=[*needs, gold], prediction=prediction))
        return table

    verdicts, place = _judged(rows, context, db_id, dialect, databases, database, made, warn, shared)
    digests = (texts_digest(row[gold], row[prediction]) for row in table)
    return [verdict | {"texts": digest} for verdict, digest in zip(verdicts, digests, strict=True)], place


def _judged(
    rows: Callable[..., list[dict]], context: str, db_id: str, dialect: str | None, databases: Path | None,
    database: str | None, made: dict[str, Any], warn: Callable[[str], None], shared: dict[str, Any],
) -> tuple[list[dict], str]:  # fmt: skip
    if databases:
        from judge.databases import database_verdicts

        verdicts = database_verdicts(rows(db_id), databases, db_id=db_id, dialect=dialect or "sqlite", **shared)
        return verdicts, f" on the databases in {databases}"
    if database:
        from judge.databases.server import read_url, server_verdicts, where

        place = f" on {where(read_url(database))}"
        return server_verdicts(rows(), database, dialect=dialect or "mysql", warn=warn, **shared), place
    from judge.execution import execution_verdicts

    return execution_verdicts(rows(context), context=context, dialect=dialect or "mysql", **made, **shared), ""


def refuse_on_command_line(database: str, databases: Path | None) -> None:
    """Raises UserError where the option --database holds a password, or stands beside --databases."""
    from judge.databases.server import refuse_password

    refuse_password(database)
    if databases:
        raise UserError("--databases and --database: give one of them")
