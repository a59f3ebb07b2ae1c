"""The report of a run whose verdicts.csv are written by the judge's own join, from rows and replies made here."""

import json
import re
from html.parser import HTMLParser

import pytest
from judge.results import make_verdicts

from scripts import report
from scripts.recipe import UserError, load_recipe

HOSTILE = '</pre><script>alert("x")</script><img src="http://evil.example/p.png" onerror=alert(1)>\u202e{{ 7 * 7 }}'
RECIPE = """
task: capitals
title: A <small> model
model: embedded:tiny
data: {rows: "nowhere:make"}
prompt: {end: "</s>"}
train: {lr: 1.0e-3, batch_size: 1, block_size: 64}
generate: {column: reply}
judge:
  model: judge-7
  verdicts: {llm: resolve_yn, execution: execution, exact: exact}
  breakdown: [level, absent]
hub: {license: mit}
"""
# id: (execution, exact, what the judge model said) for base and tuned
BASE = {
    "a": ("no", "no", "yes"),
    "b": ("no", "no", "no"),
    "c": ("yes", "no", "yes"),
    "d": ("unscored", "no", "yes"),
    "e": ("no", "no", "mumble"),
}
TUNED = {
    "a": ("yes", "yes", "yes"),
    "b": ("yes", "no", "no"),
    "c": ("yes", "yes", "yes"),
    "d": ("unscored", "no", "yes"),
    "e": ("no", "no", "no"),
}


def write_lines(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")
    return path


def write_run(run, models, judge_model="judge-7"):
    for name in report.INPUTS:
        if name.endswith("manifest.json"):
            (run / name).parent.mkdir(parents=True, exist_ok=True)
            (run / name).write_text('{"seconds": 1.5}')
    (run / "train" / "loss.json").write_text('[{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}]')
    for model, verdicts in models.items():
        folder, rows, replies = run / "judge" / model, [], []
        for id in verdicts:
            row = {"id": id, "level": "low" if id in "ab" else "high", "question": f"수도 {id}?", "answer": "=Seoul"}
            rows.append(row | {"reply": HOSTILE, "finish_reason": "length" if id == "e" else "stop"})
            said = verdicts[id][2]
            content = said if said == "mumble" else json.dumps({"resolve_yn": said, "reason": HOSTILE})
            choice = {"message": {"role": "assistant", "content": content}}
            replies.append([{"messages": []}, {"model": judge_model, "choices": [choice]}, {"id": id}])
        measured = {
            name: write_lines(
                folder / f"{name}.jsonl",
                [{"id": id, name: verdict[at], "reason": HOSTILE} for id, verdict in verdicts.items()],
            )
            for at, name in enumerate(("execution", "exact"))
        }
        names = {"gen_sql": "reply"}
        rows = write_lines(folder / "rows.jsonl", rows)
        make_verdicts(
            rows, write_lines(folder / "results.jsonl", replies), folder / "verdicts.csv", columns=names, **measured
        )


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNS", str(tmp_path / "runs"))
    path = tmp_path / "small.yaml"
    path.write_text(RECIPE, encoding="utf-8")
    return load_recipe(path)


def summary_of(recipe):
    verdicts = {model: report.read_verdicts(recipe, model) for model in report.MODELS}
    return report.summarise(recipe, verdicts, report.stage_seconds(recipe))


def run_main(recipe, monkeypatch):
    monkeypatch.setattr("sys.argv", ["report", str(recipe.path)])
    report.main()
    return recipe.run / "report"


def test_summary_has_the_promised_shape_and_numbers(recipe):
    write_run(recipe.run, {"base": BASE, "tuned": TUNED})
    summary = summary_of(recipe)
    assert summary["recipe"] == "capitals/small"
    assert list(summary) == ["recipe", "models", "agreement", "seconds"]
    assert list(summary["models"]) == ["base", "tuned"]
    for scores in summary["models"].values():
        assert list(scores) == ["execution", "exact", "llm", "stopped"]
        assert list(scores["llm"]) == ["correct", "n", "rate", "ci95", "unscored"]
        assert scores["stopped"] == 4 / 5
    # 3 of 4 by hand, z = 1.96: centre (0.75 + 1.9207/4) / (1 + 3.8415/4) = 0.62750,
    # half width 1.96 / 1.96036 * sqrt(0.75 * 0.25 / 4 + 3.8415 / 64) = 0.32692
    tuned = summary["models"]["tuned"]["execution"]
    assert (tuned["correct"], tuned["n"], tuned["rate"], tuned["unscored"]) == (3, 4, 0.75, 1)
    assert tuned["ci95"] == pytest.approx([0.3006, 0.9544], abs=1e-4)
    assert summary["seconds"] == {"data": 1.5, "format": 1.5, "train": 1.5, "generate": 3.0, "judge": 3.0}


def test_an_unreadable_reply_is_counted_apart_and_is_no_failure(recipe):
    write_run(recipe.run, {"base": BASE, "tuned": TUNED})
    llm = summary_of(recipe)["models"]["base"]["llm"]
    assert (llm["correct"], llm["n"], llm["rate"], llm["unscored"]) == (3, 4, 0.75, 1)


def test_agreement_counts_only_what_both_scored(recipe):
    write_run(recipe.run, {"base": BASE, "tuned": TUNED})
    # (judge, execution): base yy 1, yn 1, nn 1; tuned yy 2, ny 1, nn 1; d twice and base e are left out.
    # observed 5/7; by chance (4 * 4 + 3 * 3) / 49; kappa (35 - 25) / (49 - 25)
    assert summary_of(recipe)["agreement"] == {"kappa": pytest.approx(10 / 24), "false_accept": 1, "false_reject": 1}


def test_where_nothing_is_scored_the_rate_and_kappa_are_null(recipe):
    nothing = {"a": ("unscored", "no", "mumble")}
    write_run(recipe.run, {"base": nothing, "tuned": nothing})
    summary = summary_of(recipe)
    assert summary["models"]["base"]["execution"] == {
        "correct": 0, "n": 0, "rate": None, "ci95": [0.0, 1.0], "unscored": 1,
    }  # fmt: skip
    assert summary["agreement"]["kappa"] is None
    verdicts = {model: report.read_verdicts(recipe, model) for model in report.MODELS}
    assert report.compare(verdicts, "execution") == {"both": 0, "base": 0, "tuned": 0, "neither": 0, "n": 0, "p": 1.0}
    assert "nothing scored" in report.in_short(recipe, summary, "")


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.links, self.handlers = set(), [], []

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.links += [value for name, value in attributes if name in ("src", "href", "srcset", "action", "data")]
        self.handlers += [name for name, _ in attributes if name.startswith("on")]


def test_the_page_shows_hostile_text_as_text_and_needs_nothing_from_outside(recipe, monkeypatch, capsys):
    write_run(recipe.run, {"base": BASE, "tuned": TUNED})
    folder = run_main(recipe, monkeypatch)
    html = (folder / "report.html").read_text(encoding="utf-8")
    seen = Tags()
    seen.feed(html)
    assert "script" not in seen.tags and not seen.handlers
    assert seen.links and all(link.startswith("data:image/png;base64,iVBOR") for link in seen.links)
    assert not re.search(r"url\(|@import", html)
    assert "&lt;script&gt;alert(" in html and "{{ 7 * 7 }}" in html
    assert "\u202e" not in html and "\\u202e" in html
    assert "A &lt;small&gt; model" in html
    assert "수도 e?" in html and "수도 a?" not in html  # only what execution found wrong is a failure
    assert "=Seoul" in html and "&#39;=Seoul" not in html  # without the apostrophe that guards spreadsheets
    assert "by level" in html and "no such column" in html
    assert "stand-in" not in html
    for name in ("scores.png", "loss.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert "Execution accuracy" in printed and "75.0 %" in printed and "report.html" in printed

    # The same inputs: nothing is done, and the table is shown again. Another verdict: all is made anew.
    before = (folder / "summary.json").read_bytes()
    run_main(recipe, monkeypatch)
    printed = capsys.readouterr().out
    assert "nothing has changed" in printed and "75.0 %" in printed
    assert (folder / "summary.json").read_bytes() == before
    write_run(recipe.run, {"base": BASE, "tuned": TUNED | {"e": ("yes", "no", "no")}}, "local-execution")
    assert not report.report_step(recipe, folder).fresh()


@pytest.mark.parametrize("judge_model", ["local-execution", "judge-7"])
def test_page_and_terminal_say_so_where_the_local_stand_in_judged(recipe, judge_model):
    write_run(recipe.run, {"base": BASE, "tuned": TUNED | {"e": ("yes", "no", "no")}}, judge_model)
    verdicts = {model: report.read_verdicts(recipe, model) for model in report.MODELS}
    summary, no_plots = summary_of(recipe), {name: {"light": b"", "dark": b""} for name in ("scores", "loss")}
    html = report.page(recipe, verdicts, summary, [], no_plots)
    assert "Nothing, by execution accuracy." in html
    for text in (html, report.in_short(recipe, summary, report.stand_in_note(verdicts))):
        said = "answered by the local stand-in from execution" in " ".join(text.split())
        assert said == (judge_model == "local-execution")


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("data/manifest.json", "make data"),
        ("train/loss.json", "make train"),
        ("generate/base.jsonl.manifest.json", "make generate"),
        ("judge/tuned/verdicts.csv", "make judge"),
    ],
)
def test_a_missing_file_is_named_with_the_target_that_makes_it(recipe, name, target, monkeypatch):
    write_run(recipe.run, {"base": BASE, "tuned": TUNED})
    (recipe.run / name).unlink()
    with pytest.raises(UserError, match=rf"{re.escape(name)}: no such file; `{target} RECIPE=\S+` makes it"):
        run_main(recipe, monkeypatch)


def test_models_that_answered_different_rows_are_not_compared(recipe, monkeypatch):
    write_run(recipe.run, {"base": BASE, "tuned": {**TUNED, "z": ("yes", "yes", "yes")}})
    with pytest.raises(UserError, match=r"id 'z' is only in tuned/verdicts\.csv"):
        run_main(recipe, monkeypatch)


def test_a_word_that_is_no_verdict_is_an_error_and_not_a_no(recipe):
    write_run(recipe.run, {"base": BASE, "tuned": TUNED})
    path = recipe.run / "judge" / "base" / "verdicts.csv"
    path.write_text(path.read_text("utf-8-sig").replace(",unscored,", ",perhaps,"), "utf-8-sig")
    with pytest.raises(UserError, match=r"row 4: execution is 'perhaps', not yes, no or unscored"):
        report.read_verdicts(recipe, "base")


def test_failures_are_spread_over_the_test_rows(recipe):
    many = {f"{at:03}": ("no", "no", "no") for at in range(50)}
    write_run(recipe.run, {"base": many, "tuned": many})
    verdicts = {model: report.read_verdicts(recipe, model) for model in report.MODELS}
    shown = report.failures(recipe, verdicts, "execution")
    assert shown["of"] == 50
    assert [row["id"] for row in shown["rows"]] == [f"{at:03}" for at in range(0, 50, 5)]


def test_the_table_by_value_starts_where_the_tuned_model_does_best(recipe):
    write_run(recipe.run, {"base": BASE, "tuned": TUNED})
    verdicts = {model: report.read_verdicts(recipe, model) for model in report.MODELS}
    table = report.broken_down(verdicts, "level", "execution")
    assert [value for value, _ in table] == ["low", "high"]
    assert table[1][1]["tuned"] | {"ci95": None} == {"correct": 1, "n": 2, "rate": 0.5, "ci95": None, "unscored": 1}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (59.9, "59.9 s"), (90, "2 min"), (3599, "1 h 00 min"), (4000, "1 h 07 min")],
)
def test_durations_are_written_for_people(seconds, text):
    assert report.duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("한글 a\nb", "한글 a\nb"),
        ("a\x00b\u202e", "a\\u0000b\\u202e"),
        ("x" * 1503, "x" * 1500 + " … (3 more characters)"),
    ],
)
def test_text_that_could_disguise_itself_is_made_visible(text, seen):
    assert report.visible(text) == seen


def test_rows_that_were_scored_besides_stand_in_summary_and_page(recipe, monkeypatch):
    write_run(recipe.run, {"base": BASE, "tuned": TUNED})
    folder = run_main(recipe, monkeypatch)
    assert "other_rows" not in json.loads((folder / "summary.json").read_text())
    one = {"correct": 3, "n": 8, "rate": 0.375, "ci95": [0.137, 0.694], "unscored": 0}
    other = recipe.run / "score" / "<b>zoo" / "score.json"
    other.parent.mkdir(parents=True)
    other.write_text(json.dumps({"models": {"base": one | {"correct": 0, "rate": 0.0}, "tuned": one}}))
    run_main(recipe, monkeypatch)
    assert json.loads((folder / "summary.json").read_text())["other_rows"]["<b>zoo"]["tuned"] == one
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "On other rows" in page and "37.5" in page and "&lt;b&gt;zoo" in page and "<b>zoo" not in page
    assert "not asked" not in page
    other.write_text(json.dumps({"models": {"tuned": one}}))
    run_main(recipe, monkeypatch)
    assert "not asked" in (folder / "report.html").read_text(encoding="utf-8")
