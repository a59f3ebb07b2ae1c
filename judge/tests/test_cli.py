"""The command line as a user meets it: its examples, its errors, its exit codes."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fake_judge import command, completion, fake_judge, lines_of, started, write_requests
from judge.cli import main
from judge.results import MEASURES, read_verdicts

README = Path(__file__).parents[1] / "README.md"
SCHEMA = "CREATE TABLE players (player_id INT PRIMARY KEY, username VARCHAR(50), level INT);"
GOLD = "SELECT username FROM players WHERE level > 10"
ROW = {"id": 1, "context": SCHEMA, "question": "레벨이 10 초과인 유저는?", "answer": GOLD, "gen_sql": GOLD}
ROWS = [
    ROW,
    ROW | {"id": 2, "gen_sql": "```sql\nSELECT players.username FROM players WHERE players.level > 10;\n```"},
    ROW | {"id": 3, "gen_sql": "SELECT username FROM players WHERE level >= 10"},
    ROW | {"id": 4, "gen_sql": "모르겠습니다."},
    ROW | {"id": 5, "gen_sql": None},
    ROW | {"id": 6, "answer": "SELEC broken FROM"},
]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "JUDGE_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def write(name, rows):
    Path(name).write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")


def judge(capsys, line):
    """(exit code, standard output, standard error) of one command."""
    with pytest.raises(SystemExit) as exit:
        main(line.split())
    said = capsys.readouterr()
    return exit.value.code or 0, said.out, said.err


def test_from_rows_to_a_table_of_three_verdicts(capsys):
    write("rows.jsonl", ROWS)
    code, out, _ = judge(capsys, "execution rows.jsonl --out execution.jsonl --instances 5")
    assert code == 0
    assert out == "execution: 2 of 5 (40.0 %, 95 % interval 11.8 to 76.9), 1 unscored -> execution.jsonl\n"
    code, out, _ = judge(capsys, "exact rows.jsonl --out exact.jsonl")
    assert code == 0 and out.startswith("exact: 2 of 5 (40.0 %")
    code, out, _ = judge(capsys, "requests rows.jsonl --out requests.jsonl --model gpt-4o --set temperature=null")
    assert (code, out) == (0, "6 requests for gpt-4o -> requests.jsonl\n")
    assert "temperature" not in lines_of(Path("requests.jsonl"))[0]
    with fake_judge() as fake:
        fake.script["*"] = [(200, completion('{"resolve_yn": "no"}'), {})]
        code, out, err = judge(capsys, f"run requests.jsonl --out results.jsonl --base-url {fake.url} --concurrency 1")
    assert (code, out) == (0, "6 of 6 requests answered -> results.jsonl\n")
    assert "6/6" in err  # the progress bar
    code, out, _ = judge(
        capsys,
        "csv rows.jsonl results.jsonl --out verdicts.csv --execution execution.jsonl --exact exact.jsonl",
    )
    assert code == 0 and out.startswith("resolve_yn by fake-judge: 5 of 6 (83.3 %")
    table = read_verdicts("verdicts.csv")
    assert [row["resolve_yn"] for row in table] == ["no", *["yes"] * 5]
    assert [row["execution"] for row in table] == ["yes", "yes", "no", "no", "no", "unscored"]
    assert [row["exact"] for row in table] == ["yes", "yes", "no", "no", "no", "unscored"]
    assert all(row["execution_reason"] and row["exact_reason"] for row in table)
    assert list(table[0])[-len(MEASURES) :] == list(MEASURES)


def test_columns_of_other_names_are_taken_by_every_command(capsys):
    names = {"id": "no", "context": "ddl", "question": "q", "answer": "sql", "gen_sql": "made"}
    write("rows.jsonl", [{names[key]: value for key, value in row.items()} for row in ROWS])
    shared = "--id no --prediction made"
    places = "--context ddl --question q --answer sql"
    with fake_judge() as fake:
        for line in [
            f"execution rows.jsonl --out e.jsonl {shared} --context ddl --gold sql --instances 5",
            f"exact rows.jsonl --out x.jsonl {shared} --gold sql",
            f"requests rows.jsonl --out requests.jsonl --model m {shared} {places}",
            f"run requests.jsonl --out results.jsonl --base-url {fake.url}",
            f"csv rows.jsonl results.jsonl --out v.csv --execution e.jsonl --exact x.jsonl {shared} {places}",
        ]:
            assert judge(capsys, line)[0] == 0, line
    assert [row["execution"] for row in read_verdicts("v.csv")][:3] == ["yes", "yes", "no"]


BAD_ROWS = [
    ("한글 질문".encode("cp949"), "rows.jsonl line 2: not UTF-8; it looks like CP949"),
    (b"\xff\xfe\x00{", "rows.jsonl line 2: not UTF-8 text"),
    (b'{"id": 2, "context": "CREATE TA', "rows.jsonl line 2: not a whole JSON value"),
    (
        b'{"id": 2, "context": "C", "question": "Q", "gen_sql": "G"}',
        "line 2: no 'answer'; the columns there are id,",
    ),
    (b'{"id": 2, "context": "C", "question": "Q", "answer": "A"}', "rows.jsonl line 2: no 'gen_sql'"),
    (
        b'{"id": 2, "context": "C", "question": "Q", "answer": null, "gen_sql": ""}',
        "line 2: 'answer' is null",
    ),
    (b'{"id": 2, "context": "C", "question": "Q", "answer": "A", "gen_sql": 5}', "line 2: 'gen_sql' is 5"),
    (json.dumps(ROW).encode(), "rows.jsonl line 2: id '1' is already on line 1"),
    (json.dumps(ROW | {"id": None}).encode(), "line 2: an id is text or a whole number, not null"),
    (json.dumps(ROW | {"id": 1.5}).encode(), "line 2: an id is text or a whole number, not 1.5"),
    (json.dumps(ROW | {"id": "\ud83d"}).encode(), 'line 2: id "\\ud83d" holds half a character'),
    (b'{"id": ' + b"9" * 5000 + b"}", "rows.jsonl line 2: not a whole JSON value"),
    (b"[1, 2]", "rows.jsonl line 2: expected an object with columns, found list"),
    (b"[" * 100_000, "rows.jsonl line 2: JSON nested too deep"),
]


@pytest.mark.parametrize("line", ["requests rows.jsonl --out o --model m", "execution rows.jsonl --out o"])
@pytest.mark.parametrize(("second", "says"), BAD_ROWS)
def test_a_bad_row_is_one_line_with_file_and_line_number_and_exit_code_2(capsys, line, second, says):
    Path("rows.jsonl").write_bytes(json.dumps(ROW).encode() + b"\n" + second + b"\n")
    code, out, err = judge(capsys, line)
    assert (code, out) == (2, "")
    assert says in err and err.count("\n") == 1
    assert not Path("o").exists()


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("requests none.jsonl --out o --model m", 2, "judge: none.jsonl: no such file"),
        ("requests empty.jsonl --out o --model m", 2, "judge: empty.jsonl: holds no lines"),
        ("requests rows.jsonl --out rows.jsonl/x --model m", 2, "judge: cannot write rows.jsonl/x: "),
        ("requests rows.jsonl --out o --model m --rubric r.txt", 2, "judge: rubric r.txt: No such file"),
        ("requests rows.jsonl --out o --model m --rubric bad.txt", 2, "place {schema} has no value"),
        ("requests rows.jsonl --out o --model m --set x", 2, "judge: --set x: expected KEY=VALUE"),
        ("run none.jsonl --out o --base-url http://127.0.0.1:9", 2, "judge: none.jsonl: no such file"),
        (
            "run requests.jsonl --out requests.jsonl --base-url http://127.0.0.1:9",
            2,
            "overwrite the requests",
        ),
        (
            "run requests.jsonl --out o",
            2,
            "no key for https://api.openai.com/v1/chat/completions: set OPENAI_",
        ),
        ("csv rows.jsonl none.jsonl --out o", 2, "judge: none.jsonl: no such file"),
        ("serve --answers gpt", 2, "judge: --answers gpt: no such answerer; there are execution, heuristic, noisy:P"),
        ("serve --host 256.1.1.1", 1, "judge: cannot listen on 256.1.1.1:8080"),
        ("requests rows.jsonl", 2, "Missing option"),
        ("nonsense", 2, "No such command"),
    ],
)
def test_a_users_mistake_says_what_and_where_and_shows_no_traceback(capsys, line, code, says):
    write("rows.jsonl", [ROW])
    write_requests(Path("requests.jsonl"), ["a"])
    Path("empty.jsonl").touch()
    Path("bad.txt").write_text("{schema} {gen_sql}")
    given, _, err = judge(capsys, line)
    assert given == code and says in err and "Traceback" not in err
    assert not Path("o").exists()


def test_a_failed_request_is_exit_code_1_and_the_rest_is_kept(capsys):
    write_requests(Path("requests.jsonl"), ["a", "b"])
    with fake_judge({"b": [(400, {"error": {"message": "too odd"}}, {})]}) as fake:
        os.environ["JUDGE_BASE_URL"] = fake.url
        try:
            code, out, err = judge(capsys, "run requests.jsonl --out results.jsonl")
        finally:
            del os.environ["JUDGE_BASE_URL"]
    assert (code, out) == (1, "1 of 2 requests answered -> results.jsonl\n")
    assert "judge: 1 failed, see results.failed.jsonl; the same command sends them again" in err
    assert len(lines_of(Path("results.jsonl"))) == 1


@pytest.mark.parametrize("name", ["requests", "run", "csv", "execution", "exact", "serve"])
def test_each_commands_help_has_an_example_of_it(capsys, name):
    code, out, _ = judge(capsys, f"{name} --help")
    assert code == 0 and f"Example:\n    judge {name} " in out


def test_a_bug_keeps_its_traceback(monkeypatch):
    write("rows.jsonl", [ROW])
    monkeypatch.setattr("judge.exact.exact_match", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["exact", "rows.jsonl", "--out", "o"])


def test_importing_the_package_and_asking_for_help_load_nothing_heavy():
    code = """
import sys, judge, judge.evaluation, judge.parallel, judge.results, judge.serve, judge.cli
heavy = "openai", "pandas", "tiktoken", "scipy", "sqlglot", "uvicorn", "torch"
print([name for name in heavy if name in sys.modules])
"""
    given = command()
    done = subprocess.run(**given | {"args": [sys.executable, "-c", code]}, timeout=120)
    assert done.stdout == "[]\n", done.stderr


def test_the_readmes_walk_through_runs_and_prints_what_it_shows(tmp_path):
    """The block is run by bash as it stands."""
    text = README.read_text("utf-8")
    blocks = re.findall(r"```sh\n# Walk-through.*?```", text, re.DOTALL)
    assert len(blocks) == 1 and shutil.which("bash")
    script = blocks[0].removeprefix("```sh\n").removesuffix("```")
    assert script.count("\njudge ") == 6
    installed = tmp_path / "judge"
    installed.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m judge "$@"\n')
    installed.chmod(0o755)
    given = command()
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    given |= {"args": ["bash", "-eu", "-c", script], "env": given["env"] | {"PATH": path}}
    with started(**given, cwd=tmp_path) as process:
        out, err = process.communicate(timeout=240)
        assert process.returncode == 0, err
    shown = re.search(r"It prints:\n\n```\n(.*?)```", text, re.DOTALL).group(1)
    assert [line for line in out.splitlines() if line] == shown.splitlines()


def test_each_option_in_the_readme_exists(capsys):
    text = README.read_text("utf-8")
    for name in ["requests", "run", "csv", "execution", "exact", "serve"]:
        _, out, _ = judge(capsys, f"{name} --help")
        for line in re.findall(rf"\bjudge {name} ((?:\\\n|[^\n`])*)", text):
            for option in re.findall(r"--[a-z-]+", line):
                assert option in out, (name, option)
