"""First rows of both results, for a judge model to see."""

import json
import logging
import sys

import pytest
from judge.cli import main
from judge.evaluation import last_user_message, read_data_blocks
from judge.execution import execution_verdicts, heads
from judge.execution.heads import heads_for_rows, result_heads
from judge.text import UserError, texts_digest, write_jsonl

CONTEXT = "CREATE TABLE players (id INT PRIMARY KEY, nickname VARCHAR(20), level INT);"
GOLD = "SELECT nickname FROM players WHERE level > 10"
NAMES = {name: name for name in ("id", "context", "question", "answer", "gen_sql")}
ROWS = [
    {"id": at, "context": CONTEXT, "question": "Q", "answer": GOLD, "gen_sql": sql}
    for at, sql in enumerate(
        [GOLD, GOLD.replace(">", ">="), "SELECT nothing FROM players", "", "SELECT id, level FROM players", None]
    )
]


def rows_in(shown):
    return json.loads("[" + shown.partition(": ")[2] + "]")


def test_a_wrong_prediction_is_shown_on_a_database_where_it_differs():
    gold, given = result_heads(CONTEXT, GOLD, ROWS[1]["gen_sql"], 0, 1000)
    assert gold != given and len(rows_in(given)) > len(rows_in(gold)) > 0


def test_a_right_prediction_shows_the_same_rows_in_the_same_order():
    gold, given = result_heads(CONTEXT, GOLD, "SELECT p.nickname FROM players p WHERE NOT p.level <= 10 ORDER BY level")
    assert gold == given and gold.split()[1].startswith("row")


@pytest.mark.parametrize("most", [1, 2])
def test_no_more_rows_are_shown_than_asked_for(most):
    gold, _ = result_heads(CONTEXT, "SELECT id FROM players", "SELECT level FROM players", 0, most)
    assert f"rows, the first {most}: " in gold and len(rows_in(gold)) == most


@pytest.mark.parametrize(
    ("gold", "prediction"),
    [
        ("SELECT broken FROM", GOLD),
        ("SELECT level FROM players WHERE 1 = 0", GOLD),
        (GOLD, "DROP TABLE players"),
        (GOLD, "no SQL"),
        (GOLD, "SELECT load_extension('x')"),
        (GOLD, "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n"),
    ],
)
def test_what_does_not_run_has_no_results(gold, prediction):
    assert result_heads(CONTEXT, gold, prediction) is None


def test_rows_are_matched_with_what_execution_said_of_them(tmp_path, caplog):
    write_jsonl(tmp_path / "e.jsonl", execution_verdicts(ROWS, workers=1, instances=10))
    with caplog.at_level(logging.WARNING):
        found = heads_for_rows(ROWS, tmp_path / "e.jsonl", columns=NAMES)
    assert sorted(found) == ["0", "1", "2", "4"] and not caplog.records
    assert found["0"][0] == found["0"][1]
    assert found["2"][0] == "not run" and "the query fails: no such column" in found["2"][1]
    with pytest.raises(UserError, match="nothing for id 9"):
        heads_for_rows([ROWS[0] | {"id": 9}], tmp_path / "e.jsonl", columns=NAMES)


@pytest.mark.parametrize("changed", [{"answer": GOLD + " LIMIT 1"}, {"gen_sql": "SELECT 1"}, {"gen_sql": None}])
def test_verdicts_on_other_queries_than_the_rows_now_hold_are_refused(tmp_path, changed):
    said = {"execution": "unscored", "outcome": "gold_error"}
    lines = [said | {"id": row["id"], "texts": texts_digest(row["answer"], row["gen_sql"])} for row in ROWS]
    write_jsonl(tmp_path / "e.jsonl", lines)
    assert heads_for_rows(ROWS, tmp_path / "e.jsonl", columns=NAMES) == {}
    rows = [*ROWS[:4], ROWS[4] | changed, ROWS[5]]
    with pytest.raises(UserError, match=r"e\.jsonl: id '4' was judged with another answer or gen_sql; run judge exec"):
        heads_for_rows(rows, tmp_path / "e.jsonl", columns=NAMES)
    write_jsonl(tmp_path / "e.jsonl", [said | {"id": row["id"]} for row in ROWS])  # of an older version
    assert heads_for_rows(rows, tmp_path / "e.jsonl", columns=NAMES) == {}


JOBS = [heads._job(CONTEXT, GOLD, GOLD, 0, 5, "mysql") for _ in range(3)]


def test_a_fault_with_one_row_leaves_the_others_and_is_told(caplog):
    with caplog.at_level(logging.WARNING):
        found = heads._run([JOBS[0], JOBS[1] | {"dialect": "no such dialect"}, JOBS[2]])
    assert [bool(one) for one in found] == [True, False, True]
    assert "no results for a row: " in caplog.text


def test_a_process_that_dies_at_a_row_costs_that_row_alone(monkeypatch, tmp_path):
    cut = tmp_path / "python"  # gives "ready" and one answer, then is gone
    cut.write_text(f'#!/bin/sh\n"{sys.executable}" "$@" | head -n 2\n')
    cut.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(cut))
    assert [bool(one) for one in heads._run(JOBS)] == [True, False, True]


def test_a_process_that_does_not_start_is_a_bug_and_not_an_empty_answer(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(RuntimeError, match="did not start"):
        heads._run(JOBS)


def test_the_command_puts_both_results_into_the_request(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_jsonl("rows.jsonl", ROWS)
    write_jsonl("e.jsonl", execution_verdicts(ROWS, workers=1, instances=10))
    with pytest.raises(SystemExit) as left:
        line = "requests rows.jsonl --out r.jsonl --model a --model b --samples 2 --execution e.jsonl"
        main(line.split())
    out = capsys.readouterr().out
    assert left.value.code == 0
    assert out == "results of both queries for 4 of 6 rows\n24 requests for a, b -> r.jsonl\n"
    requests = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text("utf-8").splitlines()]
    blocks = [read_data_blocks(last_user_message(request)) for request in requests]
    assert [("gold_result" in block) for block in blocks[::4]] == [True, True, True, False, True, False]
