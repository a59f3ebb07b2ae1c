"""Judge against execution, and model against model, with other people's code as the yardstick."""

import csv
import io
import json

import pytest
from judge.cli import main
from judge.text import UserError
from judge.trust.agreement import agreement, pairing, show_agreement, show_pairing, visible

VERDICTS = ("yes", "no", "unscored")


def rows_of(*counts, exact="", start=0):
    """Rows of (resolve_yn, execution, how many)."""
    rows = []
    for said, true, times in counts:
        for _ in range(times):
            at = start + len(rows)
            rows.append(
                {"id": str(at), "question": f"질문 {at}", "answer": f"G{at}", "gen_sql": f"P{at}", "resolve_yn": said,
                 "resolve_reason": f"because {at}", "judge_model": "m", "execution": true,
                 "execution_reason": f"ran {at}", "exact": exact, "exact_reason": ""}
            )  # fmt: skip
    return rows


MIXED = rows_of(("yes", "yes", 40), ("no", "no", 30), ("yes", "no", 3), ("no", "yes", 5),
                ("unscored", "yes", 2), ("no", "unscored", 1), ("unscored", "unscored", 4))  # fmt: skip


def judge(capsys, line):
    with pytest.raises(SystemExit) as left:
        main(line.split())
    return left.value.code, *capsys.readouterr()


def write(path, rows):
    with open(path, "w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


def shown(draw, *arguments, **options):
    from rich.console import Console

    console = Console(file=io.StringIO(), width=200)
    draw(console, *arguments, **options)
    return console.file.getvalue()


def test_every_pair_of_verdicts_is_counted_and_the_unscored_are_in_no_ratio():
    one = agreement(MIXED)["resolve_yn"]
    assert one["table"] == {
        "yes": {"yes": 40, "no": 3, "unscored": 0},
        "no": {"yes": 5, "no": 30, "unscored": 1},
        "unscored": {"yes": 2, "no": 0, "unscored": 4},
    }
    assert (one["rows"], one["n"], one["left_out"]) == (85, 78, 7)
    assert one["accuracy"] == pytest.approx(70 / 78)


def test_accuracy_and_kappa_are_scikit_learns():
    from sklearn.metrics import accuracy_score, cohen_kappa_score

    one = agreement(MIXED)["resolve_yn"]
    scored = [r for r in MIXED if "unscored" not in (r["resolve_yn"], r["execution"])]
    said, true = [r["resolve_yn"] for r in scored], [r["execution"] for r in scored]
    assert one["accuracy"] == pytest.approx(accuracy_score(true, said))
    assert one["kappa"] == pytest.approx(cohen_kappa_score(said, true))
    low, high = one["kappa_ci95"]
    assert low < one["kappa"] < high


def test_false_accepts_and_rejects_name_the_row_and_give_its_texts():
    one = agreement(MIXED)["resolve_yn"]
    assert [row["id"] for row in one["false_accepts"]] == ["70", "71", "72"]
    assert [row["id"] for row in one["false_rejects"]] == ["73", "74", "75", "76", "77"]
    assert one["false_accepts"][0] == {
        "id": "70", "question": "질문 70", "gold": "G70", "prediction": "P70", "reason": "because 70",
        "execution_reason": "ran 70",
    }  # fmt: skip


def test_exact_match_stands_against_execution_too_and_an_absent_measure_is_left_out():
    assert list(agreement(MIXED)) == ["resolve_yn"]
    rows = [row | {"exact": row["execution"]} for row in MIXED]
    assert list(agreement(rows)) == ["resolve_yn", "exact"]
    assert agreement(rows)["exact"]["kappa"] == 1.0
    only_exact = [row | {"resolve_yn": ""} for row in rows]
    assert list(agreement(only_exact)) == ["exact"]


@pytest.mark.parametrize(
    ("counts", "accuracy", "kappa"),
    [
        ([("yes", "yes", 5)], 1.0, None),
        ([("yes", "yes", 5), ("no", "no", 5)], 1.0, 1.0),
        ([("yes", "no", 5), ("no", "yes", 5)], 0.0, -1.0),
        ([("yes", "yes", 5), ("yes", "no", 5)], 0.5, 0.0),
        ([("unscored", "yes", 5), ("no", "unscored", 5)], None, None),
    ],
)
def test_the_ends_of_the_scale(counts, accuracy, kappa):
    one = agreement(rows_of(*counts))["resolve_yn"]
    assert (one["accuracy"], one["kappa"]) == (accuracy, kappa)
    assert (one["kappa_ci95"] is None) == (kappa is None)
    assert shown(show_agreement, {"resolve_yn": one})


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([], "the verdicts: no rows"),
        (rows_of(("ja", "yes", 1)), "row 1: resolve_yn is 'ja'"),
        (rows_of(("yes", "", 2)), "no row has a verdict in 'execution'"),
        (rows_of(("", "yes", 2)), "no row has a verdict in 'resolve_yn'"),
        ([{"id": "1"}], "no row has a verdict"),
    ],
)
def test_a_file_in_which_there_is_nothing_to_compare_is_refused(rows, says):
    with pytest.raises(UserError, match=says):
        agreement(rows)


def test_two_models_are_paired_by_id_and_not_by_line():
    first = rows_of(("yes", "yes", 6), ("no", "no", 4))
    second = rows_of(("yes", "yes", 1), ("no", "no", 5), ("yes", "yes", 2), ("no", "unscored", 2))[::-1]
    one = pairing(first, second)["execution"]
    assert one == {"n": 8, "left_out": 2, "both": 1, "only_first": 5, "only_second": 2, "neither": 0, "p": one["p"]}
    from scipy.stats import binomtest

    assert one["p"] == pytest.approx(binomtest(5, 7).pvalue)
    assert list(pairing(first, second)) == ["execution", "resolve_yn"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda rows: rows[:-1], "id 3 is only in the first file"),
        (lambda rows: rows + rows_of(("yes", "yes", 1), start=9), "id 9 is only in the other file"),
        (lambda rows: [*rows, rows[0]], "the other file: id '0' comes twice"),
        (lambda rows: [rows[0] | {"question": "another"}, *rows[1:]], "id '0' has another question"),
        (lambda rows: [rows[0] | {"id": ""}, *rows[1:]], "row 1: no 'id'"),
        (lambda rows: [row | {"execution": "", "resolve_yn": ""} for row in rows], "no measure in common"),
    ],
)
def test_files_that_do_not_hold_the_same_rows_are_not_paired(change, says):
    rows = rows_of(("yes", "yes", 4))
    with pytest.raises(UserError, match=says):
        pairing(rows, change(rows))


def test_the_command_prints_tables_and_writes_the_same_as_json(capsys, tmp_path):
    first, second = write(tmp_path / "a.csv", MIXED), write(tmp_path / "b.csv", MIXED)
    out = tmp_path / "agree.json"
    code, text, err = judge(capsys, f"agree {first} --other {second} --json {out} --most 2")
    assert (code, err) == (0, "")
    assert "resolve_yn against execution (85 rows)" in text and "accuracy 89.7 %" in text
    assert "3 false accepts, 5 false rejects" in text and "false rejects by resolve_yn: 5, the first 2" in text
    assert "because 70" in text and "because 72" not in text and "given by m" in text
    found = json.loads(out.read_text("utf-8"))
    assert found["agreement"] == found["agreement_of_other"] == json.loads(json.dumps(agreement(MIXED)))
    assert found["pairing"]["execution"]["p"] == 1.0 and "질문 70" in out.read_text("utf-8")


def test_the_same_seed_gives_the_same_interval_and_another_nearly_the_same(capsys, tmp_path):
    path = write(tmp_path / "v.csv", MIXED)
    intervals = []
    for seed in (0, 0, 1):
        out = tmp_path / "o.json"
        assert judge(capsys, f"agree {path} --json {out} --seed {seed}")[0] == 0
        intervals.append(json.loads(out.read_text("utf-8"))["agreement"]["resolve_yn"]["kappa_ci95"])
    assert intervals[0] == intervals[1]
    assert intervals[0] == pytest.approx(intervals[2], abs=0.02)


def test_agreement_of_the_stand_in_is_said_to_be_no_second_opinion(capsys, tmp_path):
    rows = [row | {"judge_model": "local-execution"} for row in MIXED]
    assert "agrees by construction" in judge(capsys, f"agree {write(tmp_path / 'v.csv', rows)}")[1]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "No such file"),
        (b"", "no rows"),
        (b"\xef\xbb\xbfid,resolve_yn\n", "no rows"),
        ("id,resolve_yn\n한,yes\n".encode("cp949"), "not UTF-8"),
        (b"id,resolve_yn\n1,yes,more\n", "row 1 has 3 cells where the header has 2"),
        (b"id,resolve_yn\n1,yes\n", "no row has a verdict in 'execution'"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line_and_exit_code_2(capsys, tmp_path, content, says):
    path = tmp_path / "v.csv"
    if content is not None:
        path.write_bytes(content)
    code, out, err = judge(capsys, f"agree {path} --json {tmp_path / 'o.json'}")
    assert (code, out) == (2, "") and says in err and err.count("\n") == 1
    assert not (tmp_path / "o.json").exists()


def test_text_of_a_model_cannot_reach_the_terminal_as_a_command_or_as_markup():
    hostile = "[bold red]x[/] \x1b[2J\x9b31m \u202eabc\u200b\r\n|"
    rows = rows_of(("yes", "no", 1), ("no", "no", 1))
    rows[0] |= {"gen_sql": hostile, "id": "[link=x]1"}
    text = shown(show_agreement, agreement(rows))
    assert "[bold red]x[/]" in text and "[link=x]1" in text
    assert not any(mark in text for mark in "\x1b\x9b\u202e\u200b\r")
    assert visible(hostile).isprintable() and len(visible("x" * 1000)) < 330


def test_the_pairing_is_drawn_with_its_counts():
    text = shown(show_pairing, pairing(MIXED, MIXED), "a.csv", "b.csv")
    assert "first a.csv, second b.csv" in text and "McNemar" in text
