"""A rewrite that keeps the meaning must not be judged wrong: of the 150 here at most one may; `benchmarks/execution.py` takes more."""

from __future__ import annotations

import json
from pathlib import Path

from judge.execution import execution_verdicts
from rewriting import rewritten

HERE = Path(__file__).parent


def test_of_a_hundred_and_fifty_rewrites_hardly_any_is_judged_wrong():
    schemas = json.loads((HERE / "pairs_schemas.json").read_text(encoding="utf-8"))
    pairs = [json.loads(line) for line in (HERE / "pairs.jsonl").read_text(encoding="utf-8").splitlines()]
    golds = list(dict.fromkeys((pair["schema"], pair["gold"]) for pair in pairs))
    rows = []
    for schema, gold in golds[::3]:
        for name, sql in rewritten(schemas[schema], gold):
            rows.append({"id": len(rows), "context": schemas[schema], "answer": gold, "gen_sql": sql, "rule": name})
    assert len(rows) >= 300
    rows = [rows[at * len(rows) // 150] for at in range(150)]
    assert len({row["rule"] for row in rows}) >= 10
    verdicts = execution_verdicts(rows, mutants=False, instances=10)
    wrong = [
        (r["rule"], r["gen_sql"], v["reason"]) for r, v in zip(rows, verdicts, strict=True) if v["execution"] == "no"
    ]
    assert len(wrong) <= len(rows) // 100, wrong
