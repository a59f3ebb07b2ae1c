"""Rows and verdicts joined by id into verdicts.csv."""

import csv
import json
from contextlib import suppress

import pandas as pd
import pytest
from judge.cli import main
from judge.results import MEASURES, make_verdicts, parse_reply, read_measure, read_verdicts
from judge.text import UserError, for_excel, from_excel, write_jsonl

ROWS = [
    {"id": 1, "db_id": 9, "context": "C", "question": "몇 명?", "answer": "A", "gen_sql": "G1"},
    {"id": "b", "db_id": 9, "context": "C", "question": "Q", "answer": "A", "gen_sql": None},
]


def write(path, values):
    path.write_text("".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values), "utf-8")
    return path


def result(id, content='{"resolve_yn": "yes", "reason": "same rows"}', **choice):
    message = {"message": {"role": "assistant", "content": content}, **choice}
    return [{"messages": []}, {"model": "judge-7", "choices": [message]}, {"id": id}]


@pytest.fixture
def files(tmp_path):
    write(tmp_path / "rows.jsonl", ROWS)
    write(tmp_path / "results.jsonl", [result("b", '{"resolve_yn": "No"}'), result(1)])
    return tmp_path


def verdicts(files, **more):
    make_verdicts(files / "rows.jsonl", files / "results.jsonl", files / "verdicts.csv", **more)
    return read_verdicts(files / "verdicts.csv")


@pytest.mark.parametrize(
    ("content", "verdict", "reason"),
    [
        ('{"resolve_yn": "yes", "reason": "same"}', "yes", "same"),
        ('{"resolve_yn": " NO ", "reason": null}', "no", ""),
        ('{"resolve_yn": "no", "reason": {"a": 1}}', "no", '{"a": 1}'),
        ('Well:\n```json\n{"resolve_yn": "yes", "reason": "r"}\n```', "yes", "r"),
        ('So {not json} I say {"resolve_yn": "no"} and done.', "no", ""),
        ('{"resolve_yn": "yes"} I repeat {"resolve_yn": "yes"}', "yes", ""),
        ('{"resolve_yn": "yes"} or {"resolve_yn": "no"}', "unscored", "different verdicts"),
        ('{"resolve_yn": "yes", "resolve_yn": "no"}', "unscored", "no JSON with resolve_yn"),
        ('{"answer": {"resolve_yn": "yes"}}', "unscored", "no JSON with resolve_yn"),
        ('{"resolve_yn": "maybe", "reason": "hm"}', "unscored", "not yes or no: hm"),
        ('{"resolve_yn": true}', "unscored", "resolve_yn is 'true'"),
        ('{"resolve_yn": ["yes"]}', "unscored", "not yes or no"),
        ('{"verdict": "yes"}', "unscored", "no JSON with resolve_yn"),
        ('["yes"]', "unscored", "no JSON with resolve_yn"),
        ("No, the query is wrong.", "unscored", "No, the query is wrong."),
        ("yes", "unscored", "no JSON"),
        ('{"resolve_yn": "ye', "unscored", "no JSON"),
        ('{"a":' * 4000, "unscored", "no JSON"),
        ("x" * 30_000, "unscored", "30000 characters"),
    ],
)
def test_a_reply_is_yes_or_no_only_where_its_json_says_so(content, verdict, reason):
    given, why = parse_reply(content)
    assert given == verdict and reason in why


def test_the_table_has_the_row_then_the_prediction_then_each_measure_with_its_reason(files):
    execution = [
        {"id": 1, "execution": "yes", "reason": "equal", "outcome": "equal"},
        {"id": "b", "execution": "unscored", "reason": "gold fails"},
    ]
    exact = [{"id": "b", "exact": "no", "reason": "d"}, {"id": "1", "exact": "yes", "reason": ""}]
    write(files / "e.jsonl", execution)
    write(files / "x.jsonl", exact)
    first, second = verdicts(files, execution=files / "e.jsonl", exact=files / "x.jsonl")
    assert list(first) == ["id", "db_id", "context", "question", "answer", "gen_sql", *MEASURES]
    assert list(first.values()) == (
        ["1", "9", "C", "몇 명?", "A", "G1", "yes", "same rows", "judge-7", "yes", "equal", "equal", "yes", ""]
    )
    assert list(second.values())[5:] == ["", "no", "", "judge-7", "unscored", "gold fails", "", "no", "d"]
    assert (files / "verdicts.csv").read_bytes().startswith(b"\xef\xbb\xbfid,")


def test_a_failed_or_unreadable_reply_is_unscored_with_its_reason(files):
    write(files / "results.jsonl", [result(1, "{", finish_reason="length")])
    write(files / "results.failed.jsonl", [[{}, [{"status": 500, "error": "status 500: broken"}], {"id": "b"}]])
    first, second = verdicts(files)
    assert (first["resolve_yn"], second["resolve_yn"]) == ("unscored", "unscored")
    assert "cut off at its token limit" in first["resolve_reason"]
    assert second["resolve_reason"] == "the request failed: status 500: broken"
    assert second["judge_model"] == "" and first["execution"] == ""
    (files / "results.jsonl").write_text("")
    write(files / "results.failed.jsonl", [[{}, ["e"], {"id": id}] for id in (1, "b")])
    assert [row["resolve_yn"] for row in verdicts(files)] == ["unscored", "unscored"]


@pytest.mark.parametrize(
    ("name", "lines", "says"),
    [
        ("results.jsonl", [result(1)], "results.jsonl: nothing for id b"),
        ("results.jsonl", [result(1), result("b"), result("zz")], "id zz is in no row"),
        ("results.jsonl", [result(1), result("b"), result("1")], "line 3: a second result for id '1'"),
        ("results.failed.jsonl", [[{}, ["e"], {"id": 1}]], "failed.jsonl line 1: a second result for id '1'"),
        ("results.jsonl", [result(1)[:2]], "line 1: no metadata id"),
        ("results.jsonl", [{"id": 1}], "line 1: not a line of the form"),
        ("rows.jsonl", [ROWS[0], ROWS[0]], "rows.jsonl line 2: id '1' is already on line 1"),
        ("rows.jsonl", [{**ROWS[0], "exact": "x"}], "column exact would be overwritten"),
        ("e.jsonl", [{"id": 1, "execution": "yes"}], "e.jsonl: nothing for id b"),
        ("e.jsonl", [{"id": i, "execution": "yes"} for i in (1, "b", 3)], "e.jsonl: id 3 is in no row"),
        ("e.jsonl", [{"id": 1, "execution": "ja"}], "has execution 'ja', not yes, no or unscored"),
        ("e.jsonl", [{"id": 1, "verdict": "yes"}], "line 1: no 'execution'"),
    ],
)
def test_ids_that_do_not_match_are_errors_that_name_them(files, name, lines, says):
    write(files / "e.jsonl", [{"id": id, "execution": "yes"} for id in (1, "b")])
    write(files / name, lines)
    with pytest.raises(UserError, match=says):
        verdicts(files, execution=files / "e.jsonl")
    assert not (files / "verdicts.csv").exists()


def test_verdicts_on_texts_that_have_changed_since_are_refused(files):
    from judge.evaluation import requests_for_rows

    requests = requests_for_rows(ROWS)
    write(files / "results.jsonl", [[r, result(r["metadata"]["id"])[1], r["metadata"]] for r in requests])
    assert len(verdicts(files)) == 2
    write(files / "rows.jsonl", [{**ROWS[0], "gen_sql": "new"}, ROWS[1]])
    with pytest.raises(UserError, match="line 1: id '1' was judged with another gen_sql"):
        verdicts(files)


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-- drop", "'-- drop"),
        ("@x", "'@x"),
        ("\tx", "'\tx"),
        ("\rx", "'\rx"),
        ("'=x", "''=x"),
        ("'plain", "'plain"),
        ("SELECT -1", "SELECT -1"),
        ("", ""),
        (-5, -5),
        (None, None),
    ],
)
def test_text_that_a_spreadsheet_would_run_is_neutralised_and_comes_back_whole(text, cell):
    assert for_excel(text) == cell
    if isinstance(text, str):
        assert from_excel(cell) == text


def test_a_hostile_row_stays_text_in_the_file_and_reads_back_as_it_was(files):
    hostile = "=cmd|' /C calc'!A0,\"\n\r\n@x\""
    write(files / "rows.jsonl", [{**ROWS[0], "gen_sql": hostile, "=h": [1, {"가": True}], "n": -3}, ROWS[1]])
    first, _ = verdicts(files)
    assert first["gen_sql"] == hostile and first["=h"] == '[1, {"가": true}]' and first["n"] == "-3"
    with open(files / "verdicts.csv", encoding="utf-8-sig", newline="") as file:
        for line in csv.reader(file):
            assert not any(cell[:1] in ("=", "@", "+") for cell in line)
    assert pd.read_csv(files / "verdicts.csv")["n"][0] == -3


def test_columns_of_other_names_are_found(files):
    names = {"id": "no", "gen_sql": "pred"}
    write(files / "rows.jsonl", [{"pred": "P", "no": 1}, {"no": "b", "pred": "R"}])
    first, _ = verdicts(files, columns=names)
    assert list(first)[:3] == ["no", "pred", "resolve_yn"] and first["pred"] == "P"


def test_an_outcome_has_its_column_only_where_execution_gave_one(files):
    execution = [{"id": id, "execution": "yes", "reason": ""} for id in (1, "b")]
    write(files / "e.jsonl", execution)
    without = [name for name in MEASURES if name != "execution_outcome"]
    assert list(verdicts(files, execution=files / "e.jsonl")[0])[6:] == without == list(verdicts(files)[0])[6:]
    write(files / "rows.jsonl", [row | {"execution_outcome": "mine", "votes": 3} for row in ROWS])
    assert verdicts(files, execution=files / "e.jsonl")[0]["execution_outcome"] == "mine"
    write(files / "e.jsonl", [entry | {"outcome": "equal"} for entry in execution])
    with pytest.raises(UserError, match="column execution_outcome would be overwritten"):
        verdicts(files, execution=files / "e.jsonl")


def cast(*replies, row=1, models=("a",), of=None):
    """Lines of one row's votes: each model's replies in turn, 'failed' for a request that failed."""
    lines = []
    each = len(replies) // len(models)
    for at, reply in enumerate(replies):
        metadata = {"id": f"{row}/{at + 1}", "row": row, "votes": of or len(replies)}
        content = json.dumps({"resolve_yn": reply, "reason": f"{reply} {at + 1}"}) if reply != "?" else "mumble"
        request = {"model": models[at // each], "messages": []}
        response = ["status 500"] if reply == "failed" else result(row, content)[1] | {"model": f"{request['model']}-1"}
        lines.append([request, response, metadata])
    return lines


@pytest.mark.parametrize(
    ("replies", "models", "verdict", "reason", "votes"),
    [
        (["yes", "yes", "no"], "a", "yes", "2 yes, 1 no: yes 1", "a: yes yes no"),
        (["no", "yes", "no"], "a", "no", "1 yes, 2 no: no 1", "a: no yes no"),
        (["yes", "no"], "a", "unscored", "no majority: 1 yes, 1 no", "a: yes no"),
        (["yes", "no", "?"], "a", "unscored", "no majority: 1 yes, 1 no, 1 unscored; no JSON", "a: yes no ?"),
        (["yes", "?", "yes"], "a", "yes", "2 yes, 1 unscored: yes 1", "a: yes ? yes"),
        (["yes", "?", "?"], "a", "unscored", "no majority: 1 yes, 2 unscored", "a: yes ? ?"),
        (["yes", "failed", "failed"], "a", "unscored", "the request failed: status 500", "a: yes ? ?"),
        (["yes", "no"], "ab", "unscored", "no majority: 1 yes, 1 no", "a: yes; b: no"),
        (["yes", "no", "yes"], "abc", "yes", "2 yes, 1 no: yes 1", "a: yes; b: no; c: yes"),
        # By head count it would be 5 yes of 9; by model two of three say no.
        (
            ["yes", "yes", "yes", "no", "no", "yes", "no", "yes", "no"], "abc", "no", "1 yes, 2 no: no 4",
            "a: yes yes yes; b: no no yes; c: no yes no",
        ),
        (["yes", "no", "yes", "yes"], "ab", "unscored", "1 yes, 1 unscored", "a: yes no; b: yes yes"),
    ],
)  # fmt: skip
def test_the_majority_of_samples_and_then_of_models_decides_and_a_tie_is_unscored(
    files, replies, models, verdict, reason, votes
):
    write(files / "rows.jsonl", ROWS[:1])
    lines = cast(*replies, models=models)
    write(files / "results.jsonl", [line for line in lines if isinstance(line[1], dict)][::-1])  # in any order
    write(files / "results.failed.jsonl", [line for line in lines if isinstance(line[1], list)])
    [row] = verdicts(files)
    assert (row["resolve_yn"], row["votes"]) == (verdict, votes)
    assert reason in row["resolve_reason"]
    assert row["judge_model"].split(", ")[0] == "a-1"
    assert list(row)[6:10] == ["resolve_yn", "resolve_reason", "judge_model", "votes"]


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (cast("yes", "yes", of=3), "nothing for vote 1/3; `judge run`"),
        (cast("yes", "yes") + cast("yes", "yes")[1:], "line 3: a second result for id '1/2'"),
        (cast("yes", "yes") + cast("yes", "yes", row=2), "id 2 is in no row"),
        (cast("yes", "yes", of=1), "votes of different runs for id '1'"),
        (cast("yes", "yes", of="x"), "votes of different runs for id '1'"),
        ([*cast("yes", "yes"), result(1)], "nothing for|votes of different runs for id '1'"),
    ],
)
def test_votes_that_are_missing_or_too_many_are_errors(files, lines, says):
    write(files / "rows.jsonl", ROWS[:1])
    write(files / "results.jsonl", lines)
    with pytest.raises(UserError, match=says):
        verdicts(files)
    assert not (files / "verdicts.csv").exists()


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "'=", "''@"])
def test_no_cell_of_the_file_begins_like_a_formula_and_korean_comes_after_a_byte_order_mark(files, start):
    hostile = start + "HYPERLINK(1)한글"
    rows = [{"id": 1, start + "열": hostile, **{name: hostile for name in ("question", "answer", "gen_sql")}}]
    write(files / "rows.jsonl", rows)
    write(files / "results.jsonl", [result(1, json.dumps({"resolve_yn": "no", "reason": hostile}))])
    write(files / "e.jsonl", [{"id": 1, "execution": "no", "reason": hostile, "outcome": hostile}])
    [row] = verdicts(files, execution=files / "e.jsonl")
    raw = (files / "verdicts.csv").read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf") and "한글".encode() in raw
    cells = [cell for line in csv.reader(raw.decode("utf-8-sig").splitlines(keepends=True)) for cell in line]
    assert not any(cell[:1] and cell[0] in "=+-@\t\r" for cell in cells)
    assert {row[name] for name in (start + "열", "question", "gen_sql", "resolve_reason", "execution_reason")} == {
        hostile
    }


@pytest.mark.parametrize("measure", ["execution", "exact"])
def test_a_measure_of_queries_that_have_changed_since_is_refused(tmp_path, measure, capsys):
    row = {"id": 1, "context": "CREATE TABLE t (a INT)", "question": "q", "answer": "SELECT a FROM t"}
    rows, found = tmp_path / "rows.jsonl", tmp_path / "found.jsonl"
    write_jsonl(rows, [row | {"gen_sql": "SELECT a FROM t"}])
    with suppress(SystemExit):
        main([measure, str(rows), "--out", str(found)])
    assert read_measure(found, measure, {"1": row | {"gen_sql": "SELECT a FROM t"}})["1"][measure] == "yes"
    with pytest.raises(UserError, match=f"id 1 was judged with another answer or gen_sql; run judge {measure} again"):
        read_measure(found, measure, {"1": row | {"gen_sql": "SELECT a FROM t WHERE a > 1"}})
