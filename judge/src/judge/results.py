"""Rows and their verdicts joined by id into one table, verdicts.csv."""

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from judge.evaluation import PLACES, last_user_message, read_data_blocks, reply_text, split_result
from judge.parallel import failed_path
from judge.text import (
    UserError,
    clean,
    finished_file,
    for_excel,
    from_excel,
    id_key,
    name_some,
    read_jsonl,
    read_rows,
    texts_digest,
)
from judge.trust.votes import Vote, count_votes

# The columns behind the row's own, in this order. `votes` stands there only where a row has several.
MEASURES = (
    "resolve_yn", "resolve_reason", "judge_model", "execution", "execution_reason", "execution_outcome", "exact",
    "exact_reason",
)  # fmt: skip
WITH_VOTES = (*MEASURES[:3], "votes", *MEASURES[3:])
LONGEST_REPLY = 20_000  # characters in which a verdict is looked for


def parse_reply(content: str) -> tuple[str, str]:
    """(resolve_yn, reason) of a judge's reply: 'yes', 'no', or 'unscored' with why.

    Taken are a JSON object, or JSON objects somewhere in prose or a fence as long as they agree. Nothing
    is read out of the words around them: a reply that cannot be read is never a 'no'.
    """
    if len(content) > LONGEST_REPLY:
        return "unscored", f"the reply is {len(content)} characters long"
    found = [value for value in _objects(content) if "resolve_yn" in value]
    if not found:
        return "unscored", f"no JSON with resolve_yn in the reply: {_short(content)}"
    verdicts = {_verdict(value["resolve_yn"]) for value in found}
    reason = found[0].get("reason") or ""
    reason = reason if isinstance(reason, str) else json.dumps(reason, ensure_ascii=False)
    if len(verdicts) > 1:
        return "unscored", f"the reply holds different verdicts: {_short(content)}"
    verdict = verdicts.pop()
    if verdict is None:
        said = json.dumps(found[0]["resolve_yn"], ensure_ascii=False)
        return "unscored", f"resolve_yn is {_short(said)}, not yes or no" + (f": {reason}" if reason else "")
    return verdict, reason


def _verdict(value: Any) -> str | None:
    word = value.strip().lower() if isinstance(value, str) else ""
    return word if word in ("yes", "no") else None


def _objects(text: str) -> Iterable[dict[str, Any]]:
    """The outermost JSON objects in a text, in order. One that names a key twice with two values is none."""
    decoder = json.JSONDecoder(object_pairs_hook=_no_second_thoughts)
    at = text.find("{")
    while at >= 0:
        try:
            value, end = decoder.raw_decode(text, at)
        except RecursionError:
            return  # nobody's verdict is nested a thousand deep
        except ValueError:
            end = at + 1
        else:
            yield value
        at = text.find("{", end)


def _no_second_thoughts(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if any(value[key] != other for key, other in pairs):
        raise ValueError
    return value


def _short(text: str) -> str:
    text = " ".join(text.split())
    return repr(text if len(text) <= 120 else text[:120] + "…")


def read_judgements(results: str | Path, rows: dict[str, dict[str, Any]], columns: dict[str, str]) -> dict[str, Any]:
    """{id: {resolve_yn, resolve_reason, judge_model}} of a results file and the failures beside it.

    Where rows have several votes (`judge requests --samples`, several `--model`) there is `votes` too. Raises
    UserError for ids that are missing, extra or repeated, and for a result that judged other texts than the
    rows now hold.
    """
    cast: dict[str, dict[str, Vote]] = {}
    failures = failed_path(results)
    for path in [Path(results), *([failures] if failures.exists() else [])]:
        # Where every request failed, the file of results is there and empty.
        if path.exists() and path.stat().st_size == 0:
            continue
        for number, line in read_jsonl(path):
            where = f"{path} line {number}"
            try:
                request, response, metadata = split_result(line)
            except UserError as error:
                raise UserError(f"{where}: {error}") from None
            if "id" not in metadata:
                raise UserError(f"{where}: no metadata id, so it belongs to no row")
            id = id_key(metadata["id"], where)
            key = id_key(metadata["row"], where) if {"row", "votes"} <= metadata.keys() else id
            votes = cast.setdefault(key, {})
            if id in votes:
                raise UserError(f"{where}: a second result for id {id!r}")
            if key in rows:
                _check_same_texts(request, rows[key], columns, where, key)
            votes[id] = _vote(id, request, response, metadata)
    _check_ids(cast, rows, str(results))
    if all(len(votes) == 1 and vote.expected == 1 for votes in cast.values() for vote in votes.values()):
        return {key: _single(vote) for key, votes in cast.items() for vote in votes.values()}
    _check_votes(cast, str(results))
    # Replies come in any order; votes are shown in the order they were asked for.
    return {key: count_votes([votes[id] for id in sorted(votes, key=_number)]) for key, votes in cast.items()}


def _number(vote_id: str) -> int:
    tail = vote_id.rpartition("/")[2]
    return int(tail) if tail.isdecimal() else 0


def _check_votes(cast: dict[str, dict[str, Vote]], what: str) -> None:
    for key, votes in cast.items():
        expected = {vote.expected for vote in votes.values()}
        if len(expected) > 1 or expected.pop() != len(votes):
            missing = [f"{key}/{n + 1}" for n in range(max(v.expected for v in votes.values()))]
            missing = [id for id in missing if id not in votes]
            which = f"nothing for vote {name_some(missing)}" if missing else f"votes of different runs for id {key!r}"
            raise UserError(f"{what}: {which}; `judge run` with one request file answers all votes of a row")


def _single(vote: Vote) -> dict[str, str]:
    return {"resolve_yn": vote.verdict, "resolve_reason": vote.reason, "judge_model": vote.model}


def _vote(id: str, request: Any, response: Any, metadata: dict[str, Any]) -> Vote:
    content, problem = reply_text(response)
    verdict, reason = ("unscored", problem) if problem else parse_reply(content)
    if verdict == "unscored" and not problem and response["choices"][0].get("finish_reason") == "length":
        reason = f"the reply was cut off at its token limit; {reason}"
    model = response.get("model") if isinstance(response, dict) else None
    asked = request.get("model") if isinstance(request, dict) else None
    expected = metadata["votes"] if {"row", "votes"} <= metadata.keys() else 1
    return Vote(
        id, str(asked or ""), verdict, reason, model if isinstance(model, str) else "",
        expected if isinstance(expected, int) else 0,
    )  # fmt: skip


def _check_same_texts(request: Any, row: dict[str, Any], columns: dict[str, str], where: str, key: str) -> None:
    try:
        judged = read_data_blocks(last_user_message(request))
    except UserError:
        return  # a request made elsewhere
    for name, text in judged.items():
        column = columns.get(name, name)
        now = "" if row.get(column) is None and name == "gen_sql" else row.get(column)
        if isinstance(now, str) and clean(now) != text:
            raise UserError(f"{where}: id {key!r} was judged with another {column}; run judge requests and run again")


def _check_ids(found: Iterable[str], rows: Iterable[str], what: str) -> None:
    found, rows = set(found), list(rows)
    if missing := [key for key in rows if key not in found]:
        raise UserError(f"{what}: nothing for id {name_some(missing)}")
    if extra := sorted(found - set(rows)):
        raise UserError(f"{what}: id {name_some(extra)} is in no row")


def read_measure(
    path: str | Path, measure: str, rows: dict[str, Any], answer: str = "answer", prediction: str = "gen_sql"
) -> dict[str, dict[str, str]]:
    """{id: {measure, measure_reason}} of a file that `judge execution` or `judge exact` wrote.

    Where a line has an `outcome`, that too, as measure_outcome. UserError where its `texts` are not those of the row.
    """
    found = {}
    for entry in read_rows(path, needs=[measure]):
        if entry[measure] not in ("yes", "no", "unscored"):
            raise UserError(f"{path}: id {entry['id']!r} has {measure} {entry[measure]!r}, not yes, no or unscored")
        found[str(entry["id"])] = {
            measure: entry[measure],
            f"{measure}_reason": str(entry.get("reason") or ""),
        }
        row = rows.get(str(entry["id"]), {})
        texts = entry.get("texts")
        if texts and answer in row and texts != texts_digest(row[answer], row.get(prediction)):
            raise UserError(
                f"{path}: id {entry['id']!r} was judged with another {answer} or {prediction}; run judge {measure} again"
            )
        if isinstance(entry.get("outcome"), str):
            found[str(entry["id"])][f"{measure}_outcome"] = entry["outcome"]
    _check_ids(found, rows, str(path))
    return found


def make_verdicts(
    rows_path: str | Path,
    results: str | Path,
    out: str | Path,
    *,
    execution: str | Path | None = None,
    exact: str | Path | None = None,
    columns: dict[str, str] | None = None,
) -> list[dict[str, Any]]:
    """Write `out`, one line a row: id, the row's columns, the prediction, then `MEASURES`; return the same.

    `execution_outcome` is there where the file of `execution` has outcomes, `votes` (behind judge_model) where rows
    have several. `columns` maps id, context, question, answer, gen_sql to the names the rows use. UTF-8 with a byte
    order mark, so that Excel reads Korean; see `for_excel` for cells that look like formulas. A measure
    without a file is ''. Raises UserError where ids do not match or the rows have a column of a measure's
    name.
    """
    columns = {name: name for name in ("id", *PLACES)} | dict(columns or {})
    id_column, prediction = columns["id"], columns["gen_sql"]
    table = {str(row[id_column]): row for row in read_rows(rows_path, id_column=id_column, prediction=prediction)}
    names = list(dict.fromkeys(name for row in table.values() for name in row))
    optional = {"votes", "execution_outcome"}
    _check_free(names, [name for name in WITH_VOTES if name not in optional], rows_path)
    measures = [read_judgements(results, table, columns)]
    texts = columns["answer"], prediction
    measures += [read_measure(execution, "execution", table, *texts)] if execution else []
    measures += [read_measure(exact, "exact", table, *texts)] if exact else []
    absent = optional - {name for measure in measures for verdict in measure.values() for name in verdict}
    behind = [name for name in WITH_VOTES if name not in absent]
    _check_free(names, behind, rows_path)
    header = [
        id_column,
        *(name for name in names if name not in (id_column, prediction)),
        prediction,
        *behind,
    ]
    verdicts = []
    for key, row in table.items():
        joined = dict(row)
        for measure in measures:
            joined |= measure[key]
        verdicts.append({name: joined.get(name, "") for name in header})
    with finished_file(out, encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([for_excel(name) for name in header])
        writer.writerows([for_excel(_cell(row[name])) for name in header] for row in verdicts)
    return verdicts


def _check_free(names: list[str], behind: list[str], rows_path: str | Path) -> None:
    if taken := [name for name in names if name in behind]:
        raise UserError(f"{rows_path}: column {name_some(taken)} would be overwritten by a verdict; rename it")


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict | bool) else value


def read_verdicts(path: str | Path) -> list[dict[str, str]]:
    """The lines of a verdicts.csv as text, with the apostrophes of `for_excel` taken off again.

    Raises UserError for a missing file, text that is not UTF-8, a line with another number of cells than the header.
    """
    csv.field_size_limit(2**31 - 1)
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            header, *lines = list(csv.reader(file)) or [[]]
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        reason = "not UTF-8 text; `judge csv` writes it anew" if isinstance(error, UnicodeDecodeError) else error
        raise UserError(f"{path}: {reason}") from None
    for number, cells in enumerate(lines, 1):
        if cells and len(cells) != len(header):
            raise UserError(f"{path}: row {number} has {len(cells)} cells where the header has {len(header)}")
    return [dict(zip(map(from_excel, header), map(from_excel, cells), strict=True)) for cells in lines if cells]
