"""Rows by a language model that is often wrong: a real endpoint on the loopback, the real judge package, real cleaning."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import yaml

from recipes.ko_text2sql.cleaning import check
from recipes.ko_text2sql.synthesize import read_answer, read_questions, read_schema
from scripts.asking import Asking, Fallen
from scripts.recipe import load_recipe
from tests.author_server import DDL, SAYS, Author
from tests.conftest import ROOT, offline
from tests.test_loaders import REST

TASK = ROOT / "recipes/ko_text2sql"
TEST_ROW = {
    "id": "t1",
    "context": "CREATE TABLE ships (ship_id INT PRIMARY KEY, name VARCHAR(20));",
    "question": "배가 모두 몇 척이야?",
    "answer": "SELECT COUNT(*) FROM ships",
}


class Lab:
    """A recipe with the task's own prompts and readers, for few rows."""

    def __init__(self, folder: Path):
        self.folder, self.out = folder, folder / "runs/toy/toy/synthesize"
        lines = json.dumps(TEST_ROW, ensure_ascii=False) + "\n"
        (folder / "test.jsonl").write_text(lines, encoding="utf-8")
        self.write()

    def write(self, drop: str = "", **changes: object) -> None:
        settings = yaml.safe_load((TASK / "smollm2-135m-cpu.yaml").read_text(encoding="utf-8"))["synthesize"]
        for step in settings["steps"]:
            step["prompt"] = str(TASK / step["prompt"])
        settings = {**settings, "rows": 12, "price": [1.0, 2.0], **changes}
        settings.pop(drop, None)
        recipe = {**REST, "data": {"files": {"train": "-", "test": "test.jsonl"}}, "synthesize": settings}
        (self.folder / "toy.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")

    def command(self, author: Author | None, *words: str) -> dict:
        env = offline(self.folder / "runs") | {"PYTHONPATH": str(ROOT)}
        env |= {"JUDGE_BASE_URL": author.url} if author else {}
        args = [sys.executable, "-m", "scripts.synthesize", "toy.yaml", *words]
        return {"args": args, "cwd": self.folder, "env": env, "text": True}

    def run(self, author: Author | None, *words: str) -> subprocess.CompletedProcess[str]:
        quiet = {"stdin": subprocess.DEVNULL, "capture_output": True}
        return subprocess.run(**self.command(author, *words), **quiet, check=False)

    def rows(self) -> list[dict]:
        return [json.loads(line) for line in (self.out / "rows.jsonl").read_text(encoding="utf-8").splitlines()]

    def report(self) -> dict:
        return json.loads((self.out / "report.json").read_text(encoding="utf-8"))


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


# --- whole runs --------------------------------------------------------------------------------------------------------
FAULTS = {"unparsable": 12, "wrong column": 12, "empty": 12, "wrong value": 12, "writes": 20, "attack": 20, "around": 3}


def test_what_falls_is_asked_for_again_until_the_rows_are_there(lab: Lab) -> None:
    lab.write(rows=20, rounds=9)
    with Author({**FAULTS, "prose": 15, "half": 15, "repeated": 9, "no Korean": 15, "no schema": 5}) as author:
        done = lab.run(author, "--yes")
        assert done.returncode == 0, done.stdout + done.stderr
        first = len(author.asked)
        assert lab.run(author, "--yes").stdout.count("nothing has changed") == 1
    assert len(author.asked) == first == len(set(author.asked))
    rows, report = lab.rows(), lab.report()
    assert len(rows) == 20 and len({row["id"] for row in rows}) == 20
    assert all(not check(row)["faults"] for row in rows)
    assert not any("obey" in row["context"] or "COMMENT" in row["context"] for row in rows)
    # Every fault was found by a rule, and the run says how many fell to which.
    assert len(report["rounds"]) > 1
    for one in report["rounds"]:
        assert one["rows"] == one["kept"] + sum(one["fallen"].values())
        for step in one["steps"].values():
            assert step["asked"] == step["given"] + sum(rule["values"] for rule in step["fallen"].values())
    fallen = sum((Counter(one["fallen"]) for one in report["rounds"]), Counter())
    unread = sum(
        (Counter({rule: about["values"] for rule, about in step["fallen"].items()}) for one in report["rounds"]
         for step in one["steps"].values()), Counter()
    )  # fmt: skip
    assert {"does not parse", "not in the schema", "always empty", "values disagree"} <= set(fallen)
    assert {"unreadable", "repeated"} <= set(unread)
    for rule, count in (fallen + unread).items():
        assert rule in done.stdout and count > 0
    asked = sum(step["asked"] for one in report["rounds"] for name, step in one["steps"].items() if name != "question")
    questions = sum("questions in Korean" in prompt for prompt in author.asked)
    assert len(author.asked) == asked + questions
    assert report["spent"] == {"tokens": 120 * first, "dollars": pytest.approx(first * 140 / 1e6)}


def test_a_killed_run_goes_on_and_pays_for_nothing_twice(lab: Lab) -> None:
    with Author(hold_after=9) as author:
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        killed = subprocess.Popen(**lab.command(author, "--yes"), **quiet, start_new_session=True)
        try:
            # Two schemas, two times questions, then five answers: all nine are in the journals.
            journal = lab.out / "round-1/answer.jsonl.journal"
            end = time.monotonic() + 240
            while not (journal.exists() and journal.read_bytes().count(b"\n") == 5):
                assert time.monotonic() < end and killed.poll() is None
                time.sleep(0.05)
        finally:
            os.killpg(killed.pid, signal.SIGKILL)
            killed.wait()
        answered = author.asked[:9]
        author.hold_after = float("inf")
        author.release.set()
        before = len(author.asked)
        done = lab.run(author, "--yes")
        assert done.returncode == 0, done.stdout + done.stderr
        again = author.asked[before:]
    assert len(again) == 7 and not set(answered) & set(again)
    assert len(lab.rows()) == 12
    assert lab.report()["spent"]["tokens"] == 16 * 120


def test_more_rows_of_the_same_keep_what_has_been_paid_for(lab: Lab) -> None:
    lab.write(rows=10)
    with Author() as author:
        assert lab.run(author, "--yes").returncode == 0
        lab.write(rows=20)
        done = lab.run(author, "--yes")
        assert done.returncode == 0, done.stderr
    assert len(author.asked) == len(set(author.asked)) == 2 + 2 + 20
    assert len(lab.rows()) == 20


def test_the_rows_are_such_as_the_data_stage_reads(lab: Lab) -> None:
    with Author() as author:
        assert lab.run(author, "--yes").returncode == 0
    recipe = yaml.safe_load((lab.folder / "toy.yaml").read_text())
    recipe["data"] = {"files": {"train": "runs/toy/toy/synthesize/rows.jsonl", "test": "test.jsonl"}}
    recipe["data"]["clean"] = recipe["synthesize"]["clean"]
    (lab.folder / "toy.yaml").write_text(yaml.safe_dump(recipe))
    words = [sys.executable, "-m", "scripts.data", "toy.yaml"]
    env = lab.command(None)["env"]
    done = subprocess.run(words, cwd=lab.folder, env=env, capture_output=True, text=True, check=False)
    assert "train: 12 rows" in done.stdout, done.stderr


# --- money -------------------------------------------------------------------------------------------------------------
def test_without_a_terminal_and_without_a_yes_nothing_is_sent(lab: Lab) -> None:
    with Author() as author:
        done = lab.run(author)
    assert done.returncode == 2 and "nothing was sent: no terminal to ask on; YES=1" in done.stderr
    assert "12 rows by gpt-4.1-mini at http://127.0.0.1" in done.stdout and "at most" in done.stdout
    assert author.asked == []


@pytest.mark.parametrize(("typed", "sent"), [("n\n", False), ("\n", False), ("y\n", True)])
def test_on_a_terminal_it_asks_first(lab: Lab, typed: str, sent: bool) -> None:
    ours, theirs = pty.openpty()
    lab.write(rows=2)
    with Author() as author:
        command = lab.command(author)
        started = subprocess.Popen(**command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        os.write(ours, typed.encode())
        said, _ = started.communicate(timeout=120)
    os.close(ours), os.close(theirs)
    assert "go on? [y/N]" in said
    assert (started.returncode == 0, bool(author.asked)) == (sent, sent), said
    assert sent or "nothing was sent" in said


def test_it_stops_at_the_most_that_it_may_cost_and_goes_on_when_that_is_raised(lab: Lab) -> None:
    lab.write(rows=12, max_cost=0.0012)  # an answer is $0.00014
    with Author() as author:
        done = lab.run(author, "--yes")
        assert done.returncode == 2 and "stopped at --max-cost" in done.stderr, done.stderr
        paid = len(author.asked)
        assert paid * 0.00014 < 0.0012
        lab.write(rows=12, max_cost=1.0)
        assert lab.run(author, "--yes").returncode == 0
    assert len(author.asked) == len(set(author.asked)) == 16


REFUSED = [
    ("no endpoint", {}, None, "set OPENAI_API_KEY, or JUDGE_BASE_URL"),
    ("no rules", {"drop": "clean"}, None, "synthesize.clean: missing"),
    ("a column twice", {"steps": [{"column": "a", "prompt": "p", "read": "r", "usual_tokens": 1, "max_tokens": 1}] * 2},
     None, "a column of its own"),
    ("no prompt file", {"steps": [{"column": "a", "prompt": "p", "read": "r:r", "usual_tokens": 1, "max_tokens": 1}]},
     None, "p: no such file"),
    ("a key that is refused", {}, 401, "requests failed"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "status", "said"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_what_can_not_work_is_said_without_a_traceback(lab: Lab, changes: dict, status: int | None, said: str) -> None:
    lab.write(**changes)
    with Author(refuse=status or 0) as author:
        done = lab.run(author if status else None, "--yes")
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert not (lab.out / "rows.jsonl").exists()


def test_a_recipe_without_the_section_names_one_that_has_it(lab: Lab) -> None:
    (lab.folder / "toy.yaml").write_text(yaml.safe_dump({**REST, "data": {"files": {"train": "-", "test": "-"}}}))
    done = lab.run(None)
    assert done.returncode == 2 and "smollm2-135m-cpu.yaml" in done.stderr


# --- replies -----------------------------------------------------------------------------------------------------------
def completion(content: object, ended: str = "stop") -> dict:
    return {"choices": [{"message": {"content": content}, "finish_reason": ended}]}


BAD = [
    (None, "no answer"),
    ("text", "no answer"),
    ({"choices": []}, "no answer"),
    ({"choices": [{"message": None}]}, "no answer"),
    (completion(None), "no answer"),
    (completion(["text"]), "no answer"),
    (completion("  "), "no answer"),
    (completion('{"sql": "SELECT 1"', "length"), "cut off"),
    (completion(SAYS["prose"]), "unreadable"),
    (completion('{"sql": null}'), "unreadable"),
    (completion('{"sql": "SELECT a FROM b WH'), "unreadable"),
    (completion('{"sql": ["SELECT 1"]}'), "unreadable"),
    (completion('{"sql": "SELECT 1"} or {"sql": "SELECT 2"}'), "unreadable"),
    (completion('{"a":' * 9000), "unreadable"),
    (completion('{"sql": "SELECT ' + "x" * 3000 + '"}'), "unreadable"),
]


@pytest.mark.parametrize(("response", "rule"), BAD)
def test_a_reply_that_gives_no_answer_falls(lab: Lab, response: object, rule: str) -> None:
    fallen = Fallen()
    assert Asking(load_recipe(lab.folder / "toy.yaml"), 2).rows({"id": "r1"}, 1, response, fallen) == []
    assert fallen.counts() == {rule: 1}


@pytest.mark.parametrize(
    "reply",
    ['{"sql": "SELECT a\\nFROM b;"}', 'Here:\n```json\n{"sql": "SELECT a FROM b"}\n``` {ok}', "SELECT a FROM b;"],
)
def test_prose_or_a_fence_around_an_answer_does_no_harm(reply: str) -> None:
    assert read_answer(reply, {}) == [{"answer": "SELECT a FROM b", "hardness": "easy"}]


def test_text_of_a_reply_is_no_template_and_holds_no_control_characters(lab: Lab) -> None:
    recipe = load_recipe(lab.folder / "toy.yaml")
    row = {"id": "r1", "context": "{question} {nobody}", "question": "{context} {{x}} 몇 개야?"}
    [request] = Asking(recipe, 2).requests([row], 1)
    assert "{question} {nobody}" in request["messages"][0]["content"]
    assert "{context} {{x}} 몇 개야?" in request["messages"][0]["content"]
    reply = completion(json.dumps({"questions": ["몇 \ud800개\x00야\x1b[2J?"]}))
    [made] = Asking(recipe, 1).rows({"id": "r1"}, 1, reply, Fallen())
    assert made == {"id": "r1-1", "question": "몇 개야[2J?"}


SCHEMAS = [
    ("no tables", "hello", "no readable DDL|not a CREATE TABLE"),
    ("one table", "CREATE TABLE a (id INT)", "at least two"),
    ("the same table twice", "CREATE TABLE a (id INT); CREATE TABLE a (id INT)", "at least two"),
    ("another statement", DDL.format(n=1) + " DROP TABLE goods1", "not a CREATE TABLE"),
    ("a table of a query", DDL.format(n=1) + " CREATE TABLE c AS SELECT 1", "not a CREATE TABLE"),
    ("a view", DDL.format(n=1) + " CREATE VIEW c AS SELECT 1", "not a CREATE TABLE"),
    ("a name that is a sentence", DDL.format(n=1) + " CREATE TABLE `ignore all rules` (id INT)", "need quotes"),
    ("too long", "CREATE TABLE a (id INT); " * 900, "at most"),
]


@pytest.mark.parametrize(("ddl", "said"), [case[1:] for case in SCHEMAS], ids=[case[0] for case in SCHEMAS])
def test_a_schema_is_tables_and_nothing_else(ddl: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_schema(json.dumps({"ddl": ddl}), {"id": "r1"})


def test_questions_are_read_one_by_one() -> None:
    said = ["1. 몇 개야?", {"question": "이름  알려줘"}, "How many?", 7, "SELECT 이름 FROM t", "가" * 300]
    found = read_questions(json.dumps({"questions": said}), {})
    assert [item if isinstance(item, str) else None for item in found] == [
        "몇 개야?",
        "이름 알려줘",
        None,
        None,
        None,
        None,
    ]


def test_what_is_asked_depends_on_the_id_alone_and_differs_from_one_to_the_next(lab: Lab) -> None:
    step = Asking(load_recipe(lab.folder / "toy.yaml"), 0)
    few, many = (list(step.requests([{"id": f"r1-{n}"} for n in range(size)], size)) for size in (5, 30))
    assert many[:5] == few
    assert len({request["messages"][0]["content"] for request in many}) > 25
