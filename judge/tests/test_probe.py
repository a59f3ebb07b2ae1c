"""Predictions with known verdicts, and what they say of a judge."""

import json
from collections import Counter

import pytest
from judge.cli import main
from judge.execution import execution_verdicts
from judge.results import read_verdicts
from judge.serve import running_server
from judge.sql.queries import parse_query
from judge.sql.schema import parse_schema
from judge.text import UserError, write_jsonl
from judge.trust.fitness import probe_report
from judge.trust.probe import BAD, GOOD, make_probe, shares
from judge.trust.rewrites import rewrites

from judge import run_requests

CONTEXT = (
    "CREATE TABLE guilds (guild_id INT PRIMARY KEY, guild_name VARCHAR(20), server VARCHAR(10));\n"
    "CREATE TABLE players (player_id INT PRIMARY KEY, nickname VARCHAR(20), level INT, gold INT, score DOUBLE,"
    " guild_id INT, FOREIGN KEY (guild_id) REFERENCES guilds (guild_id));"
)
ANSWERS = [
    ("레벨이 10 초과인 유저는?", "SELECT nickname FROM players WHERE level > 10"),
    ("유저는 몇 명?", "SELECT COUNT(*) FROM players"),
    ("레벨이 5에서 9 사이인 유저는?", "SELECT nickname FROM players WHERE level BETWEEN 5 AND 9"),
    ("1번이나 2번 길드의 유저는?", "SELECT nickname FROM players WHERE guild_id IN (1, 2)"),
    ("아시아 서버 길드의 유저는?", "SELECT players.nickname FROM players JOIN guilds ON "
     "players.guild_id = guilds.guild_id WHERE guilds.server = '아시아'"),
    ("길드 서버의 종류는?", "SELECT DISTINCT server FROM guilds"),
    ("골드가 가장 많은 유저 세 명은?", "SELECT nickname FROM players ORDER BY gold DESC LIMIT 3"),
    ("길드별 평균 레벨은?", "SELECT guild_id, AVG(level) FROM players GROUP BY guild_id"),
    ("골드가 100 이하이고 레벨이 3 이상인 유저는?", "SELECT nickname FROM players WHERE gold <= 100 AND level >= 3"),
]  # fmt: skip
ROWS = [{"id": at, "context": CONTEXT, "question": q, "answer": a} for at, (q, a) in enumerate(ANSWERS)]


@pytest.fixture(scope="module")
def made():
    return make_probe(ROWS, size=50, workers=1)


def rewritten(sql):
    return rewrites(parse_query(sql), parse_schema(CONTEXT))


@pytest.mark.parametrize(
    ("kind", "sql", "becomes"),
    [
        ("alias", "SELECT level FROM players WHERE gold > 1", "SELECT t1.level FROM players AS t1 WHERE t1.gold > 1"),
        ("alias", "SELECT level AS gold FROM players ORDER BY gold",
         "SELECT t1.level AS gold FROM players AS t1 ORDER BY gold"),
        ("alias", "SELECT a.level FROM players AS a, players AS b", None),
        ("reordered", "SELECT 1 FROM players WHERE level > 1 AND gold = 2",
         "SELECT 1 FROM players WHERE 2 = gold AND 1 < level"),
        ("reordered", "SELECT 1 FROM players WHERE (level > 1 OR gold = 2) AND score < 3",
         "SELECT 1 FROM players WHERE 3 > score AND (2 = gold OR 1 < level)"),
        ("between", "SELECT 1 FROM players WHERE NOT level BETWEEN 1 AND 2",
         "SELECT 1 FROM players WHERE NOT (level >= 1 AND level <= 2)"),
        ("between", "SELECT 1 FROM players WHERE level >= 1 AND level <= 2",
         "SELECT 1 FROM players WHERE level BETWEEN 1 AND 2"),
        ("between", "SELECT 1 FROM players WHERE level >= 1 AND gold <= 2", None),
        ("in_or", "SELECT 1 FROM players WHERE NOT level IN (1, 2)",
         "SELECT 1 FROM players WHERE NOT (level = 1 OR level = 2)"),
        ("in_or", "SELECT 1 FROM players WHERE level = 1 OR level = 2", "SELECT 1 FROM players WHERE level IN (1, 2)"),
        ("in_or", "SELECT 1 FROM players WHERE level = 1 OR gold = 2", None),
        ("in_or", "SELECT 1 FROM players WHERE guild_id IN (SELECT guild_id FROM guilds)", None),
        ("negated", "SELECT 1 FROM players WHERE level > 1", "SELECT 1 FROM players WHERE NOT (level <= 1)"),
        ("whole_numbers", "SELECT 1 FROM players WHERE level > 10", "SELECT 1 FROM players WHERE level >= 11"),
        ("whole_numbers", "SELECT 1 FROM players WHERE score > 10", None),
        ("whole_numbers", "SELECT 1 FROM players WHERE level > 1.5", None),
        ("wrapped", "SELECT COUNT(*) FROM players",
         "SELECT * FROM (SELECT COUNT(*) AS c1 FROM players) AS answer"),
        ("wrapped", "SELECT level FROM players ORDER BY gold", None),
        ("wrapped", "SELECT level, level FROM players", None),
        ("comma_join", "SELECT p.level FROM players AS p LEFT JOIN guilds AS g ON p.guild_id = g.guild_id", None),
        ("join_as_in", "SELECT players.level FROM players JOIN guilds ON guilds.guild_id = players.guild_id",
         "SELECT players.level FROM players WHERE players.guild_id IN (SELECT guilds.guild_id FROM guilds)"),
        # Neither where the other table is shown, nor where it is not joined by its key.
        ("join_as_in", "SELECT guilds.server FROM players JOIN guilds ON guilds.guild_id = players.guild_id", None),
        ("join_as_in", "SELECT guilds.server FROM guilds JOIN players ON guilds.guild_id = players.guild_id", None),
        ("join_as_in", "SELECT players.level FROM players JOIN guilds ON guilds.guild_id = players.guild_id "
         "WHERE guilds.server = 'a' OR players.level = 1", None),
        ("synonym", "SELECT DISTINCT server FROM guilds", "SELECT server FROM guilds GROUP BY server"),
        ("synonym", "SELECT COUNT(*) FROM guilds", "SELECT COUNT(1) FROM guilds"),
    ],
)  # fmt: skip
def test_a_rewrite_is_made_where_its_rule_holds_and_nowhere_else(kind, sql, becomes):
    assert rewritten(sql).get(kind) == becomes


def test_execution_finds_no_difference_in_any_rewrite():
    rows = []
    for row in ROWS:
        rows += [{**row, "id": f"{row['id']} {k}", "gen_sql": s} for k, s in rewritten(row["answer"]).items()]
    kinds = {row["id"].split()[1] for row in rows}
    assert len(rows) > 40 and kinds == {name.removeprefix("good_") for name in GOOD} - {"copy"}
    verdicts = execution_verdicts(rows, workers=1, instances=10)
    assert [v["id"] for v in verdicts if v["execution"] != "yes"] == []


def test_half_of_a_probe_is_right_and_half_wrong_and_each_half_is_spread_over_its_classes(made):
    count = Counter(row["probe_class"] for row in made)
    assert len(made) == 50 and Counter(row["expected"] for row in made) == {"yes": 25, "no": 25}
    assert {name: count[name] for name in BAD} == dict.fromkeys(BAD, 5)
    assert set(count) == {*GOOD, *BAD} and max(count[name] for name in GOOD) <= 5
    assert all((row["expected"] == "yes") == row["probe_class"].startswith("good") for row in made)
    assert len({row["id"] for row in made}) == 50
    assert {row["probe_of"] for row in made} == {str(row["id"]) for row in ROWS}


def test_every_prediction_of_a_probe_is_borne_out_by_execution_at_another_seed(made):
    verdicts = execution_verdicts(made, workers=1, seed=7, instances=10)
    expected = {row["id"]: row["expected"] for row in made}
    assert [v for v in verdicts if v["execution"] != expected[v["id"]]] == []


def test_the_same_rows_and_seed_give_the_same_probe_and_another_seed_another(made):
    # The input's order of columns and further columns change nothing.
    same = [dict(reversed(row.items())) | {"x": 1} for row in ROWS]
    some = [make_probe(rows, size=8, seed=seed, workers=1) for rows, seed in ((ROWS, 3), (same, 3), (ROWS, 4))]
    assert some[0] == some[1] != some[2]


def test_other_names_of_columns_are_found_and_ours_are_written():
    names = {"id": "no", "context": "ddl", "question": "q", "answer": "sql"}
    rows = [{names[key]: value for key, value in row.items()} for row in ROWS]
    made = make_probe(rows, size=4, columns=names, workers=1)
    assert list(made[0]) == ["id", "probe_of", "context", "question", "answer", "gen_sql", "expected", "probe_class"]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([{"id": 1, "context": CONTEXT, "question": "Q"}], "row 1: no text in 'answer'"),
        ([{**ROWS[0], "id": None}], "row 1: an id is text or a whole number"),
        ([{**ROWS[0], "answer": "SELECT nothing FROM nowhere"}], "bears out no right"),
        ([{**ROWS[0], "answer": "no SQL"}], "bears out no right"),
        ([{**ROWS[0], "context": "no DDL"}], "bears out no right"),
    ],
)
def test_rows_that_give_no_probe_are_refused(rows, says):
    with pytest.raises(UserError, match=says):
        make_probe(rows, size=4, workers=1)


@pytest.mark.parametrize(
    ("total", "there", "given"),
    [
        (6, {"a": 9, "b": 9}, {"a": 3, "b": 3}),
        (7, {"a": 9, "b": 9}, {"a": 4, "b": 3}),
        (6, {"a": 1, "b": 9, "c": 0}, {"a": 1, "b": 5, "c": 0}),
        (9, {"a": 1, "b": 2}, {"a": 1, "b": 2}),
        (0, {"a": 1}, {"a": 0}),
    ],
)
def test_what_one_class_lacks_the_others_give(total, there, given):
    assert shares(total, there) == given


def verdicts_of(*counts):
    """Rows of (probe_class, resolve_yn, how many)."""
    return [
        {"probe_class": name, "expected": "yes" if name.startswith("good") else "no", "resolve_yn": said}
        for name, said, times in counts
        for _ in range(times)
    ]


PERFECT = [("good_copy", "yes", 20), ("good_alias", "yes", 20), ("bad_empty", "no", 20), ("bad_mutant", "no", 20)]


@pytest.mark.parametrize(
    ("counts", "options", "reasons"),
    [
        (PERFECT, {}, []),
        ([*PERFECT[1:], ("good_copy", "yes", 19), ("good_copy", "no", 1)], {}, []),
        ([*PERFECT[1:], ("good_copy", "yes", 17), ("good_copy", "no", 3)], {}, ["accepts 92.5% (37 of 40) of the"]),
        ([*PERFECT[:3], ("bad_mutant", "no", 18), ("bad_mutant", "yes", 2)], {}, ["refuses 90.0% (18 of 20) of bad_m"]),
        ([*PERFECT[:3], ("bad_mutant", "no", 18), ("bad_mutant", "yes", 2)], {"bad": 0.9}, []),
        ([*PERFECT[:3], ("bad_mutant", "no", 18), ("bad_mutant", "unscored", 2)], {}, ["refuses 90.0%"]),
        (PERFECT, {"kappa": 1.0}, []),
        ([*PERFECT[1:], ("good_copy", "yes", 19), ("good_copy", "no", 1)], {"kappa": 1.0}, ["kappa is 0.975, 1 is"]),
        ([(name, "yes", n) for name, _, n in PERFECT], {}, ["refuses 0.0%", "refuses 0.0%", "kappa is 0.000"]),
        ([(name, "unscored", n) for name, _, n in PERFECT], {},
         ["accepts 0.0%", "refuses 0.0%", "refuses 0.0%", "kappa is undefined"]),
    ],
)  # fmt: skip
def test_a_judge_is_fit_when_it_misses_no_threshold(counts, options, reasons):
    report = probe_report(verdicts_of(*counts), **options)
    assert report["verdict"] == ("unfit" if reasons else "fit")
    assert len(report["reasons"]) == len(reasons)
    assert all(said.startswith(start) for said, start in zip(report["reasons"], reasons, strict=True))


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([{"resolve_yn": "yes"}], "no column 'expected': `judge probe` makes the rows"),
        ([{"expected": "yes", "resolve_yn": ""}], "row 1: resolve_yn is ''"),
        ([{"expected": "yes", "resolve_yn": "yes"}], "row 1: no 'probe_class'"),
        (verdicts_of(*PERFECT[:2]), "one kind is missing"),
        ([], "one kind is missing"),
        ([row | {"probe_class": "x"} for row in verdicts_of(*PERFECT)], "class 'x' holds both"),
    ],
)
def test_verdicts_that_are_not_on_a_probe_are_refused(rows, says):
    with pytest.raises(UserError, match=says):
        probe_report(rows)


def judge(capsys, line):
    with pytest.raises(SystemExit) as left:
        main(line.split())
    return left.value.code, *capsys.readouterr()


def test_the_whole_way_from_a_probe_to_a_verdict_on_each_judge(made, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_jsonl("probe.jsonl", made)
    with running_server(workers=1, instances=8) as url:
        for model, verdict in (("local-execution", "fit"), ("local-heuristic", "unfit")):
            assert judge(capsys, f"requests probe.jsonl --out requests.jsonl --model {model}")[0] == 0
            assert run_requests("requests.jsonl", f"{model}.jsonl", base_url=url).answered == 50
            assert judge(capsys, f"csv probe.jsonl {model}.jsonl --out {model}.csv")[0] == 0
            code, out, _ = judge(capsys, f"probe-report {model}.csv --json {model}.json")
            assert (code, out.splitlines()[-2]) == (0 if verdict == "fit" else 1, verdict)
            assert "95.0%" in out and "0.8 asked for" in out
            report = json.loads((tmp_path / f"{model}.json").read_text("utf-8"))
            assert report["verdict"] == verdict
            assert report["thresholds"] == {"good": 0.95, "bad": 0.95, "kappa": 0.8}
    assert report["reasons"]  # it reads and never runs, so it can't know every rewrite
    assert judge(capsys, f"probe-report {model}.csv --good 0 --bad 0 --kappa -1")[0] == 0
    assert {row["probe_of"] for row in read_verdicts(f"{model}.csv")} <= {str(row["id"]) for row in ROWS}


def test_a_probe_that_is_smaller_than_asked_for_says_so(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_jsonl("rows.jsonl", ROWS[:1])
    code, out, _ = judge(capsys, "probe rows.jsonl --out probe.jsonl --size 100 --workers 1")
    assert code == 0 and "1 bad_prose" in out and ", 100 were asked for: these rows give no more -> probe.jsonl" in out
    made = [json.loads(line) for line in (tmp_path / "probe.jsonl").read_text("utf-8").splitlines()]
    assert Counter(row["expected"] for row in made)["yes"] * 2 == len(made)
