"""Every data set that recipes/ko_text2sql/data-sets.md names loads by the lines that stand there, from small files in
its form; what is wrong with a file is one line that names the file and the place."""

from __future__ import annotations

import json
import re
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from scripts import data
from scripts.recipe import load_recipe, run_main
from tests.conftest import ROOT

DOC = (ROOT / "recipes/ko_text2sql/data-sets.md").read_text(encoding="utf-8")
SNIPPETS = dict(re.findall(r"^## (.+?)$.*?^```yaml\n(.*?)^```", DOC, re.M | re.S))
REST = {
    "task": "toy",
    "title": "A toy",
    "model": "embedded:smollm2-135m-instruct",
    "prompt": {"end": "<end>"},
    "train": {"lr": 0.001, "batch_size": 1, "block_size": 64},
    "generate": {"column": "said"},
    "judge": {"model": "some-judge", "verdicts": {"exact": "exact"}},
    "hub": {"license": "mit"},
}


class Lab:
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
        self.folder, self.monkeypatch, self.capsys = folder, monkeypatch, capsys
        monkeypatch.setenv("RUNS", str(folder / "runs"))
        monkeypatch.chdir(folder)

    def write(self, name: str, content: object, encoding: str = "utf-8") -> Path:
        """A list in a .jsonl file is lines; what else is no text is JSON."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".jsonl" and isinstance(content, list):
            content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content)
        if not isinstance(content, str | bytes):
            content = json.dumps(content, ensure_ascii=False, indent=1)
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return path

    def run(self, lines: str | dict) -> tuple[int, str]:
        """Exit code and standard error of the data stage on a recipe with these lines; cleaning is left out."""
        part = yaml.safe_load(lines) if isinstance(lines, str) else {"data": lines}
        part["data"].pop("clean", None)
        judge = REST["judge"] | part.get("judge", {})
        self.write("toy.yaml", yaml.safe_dump({**REST, **part, "judge": judge}, allow_unicode=True))
        self.monkeypatch.setattr(sys, "argv", ["data", "toy.yaml"])
        code = 0
        try:
            run_main(data.main)
        except SystemExit as stop:
            code = stop.code
        return code, self.capsys.readouterr().err

    def rows(self, split: str) -> list[dict]:
        path = self.folder / f"runs/toy/toy/data/{split}.jsonl"
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def lab(tmp_path, monkeypatch, capsys) -> Lab:
    return Lab(tmp_path, monkeypatch, capsys)


# --- small files in the true forms ---------------------------------------------------------------------------------------
WIKI_TABLE = {
    "id": "1-1000181-1",
    "header": ["State/territory", "Format", "No.", "No.", ""],
    "types": ["text", "text", "real", "text", "text"],
    "page_title": "Plates",
    "rows": [["Victoria", "ABC", 1, "x", ""]],
}
WIKI_ROW = {
    "phase": 1,
    "table_id": "1-1000181-1",
    "question": "What is the format in King's Landing for 3?",
    "sql": {"sel": 1, "agg": 3, "conds": [[0, 0, "King's Landing"], [2, 1, "3"]]},
}
CONCERTS = {
    "db_id": "concerts",
    "table_names_original": ["singer", "Show"],
    "table_names": ["singer", "show"],
    "column_names_original": [[-1, "*"], [0, "Singer_ID"], [0, "Name"], [1, "Show_ID"], [1, "Singer_ID"], [1, "order"]],
    "column_names": [[-1, "*"], [0, "singer id"], [0, "name"], [1, "show id"], [1, "singer id"], [1, "order"]],
    "column_types": ["text", "number", "text", "number", "number", "time"],
    "foreign_keys": [[4, 1]],
    "primary_keys": [1, [3, 4]],
}
SPIDER_ROW = {
    "db_id": "concerts",
    "query": "SELECT count(*) FROM singer",
    "query_toks": ["SELECT", "count", "(", "*", ")", "FROM", "singer"],
    "query_toks_no_value": ["select", "count", "(", "*", ")", "from", "singer"],
    "question": "How many singers are there?",
    "question_toks": ["How", "many", "singers", "are", "there", "?"],
    "sql": {"from": {"table_units": [["table_unit", 0]], "conds": []}, "select": [False, []], "where": []},
}
BIRD_ROW = {"db_id": "concerts", "question": "How many?", "evidence": "all of them", "SQL": "SELECT COUNT(*) FROM Show"}
AIHUB_HEAD = {"identifier": "TEXT_NL2SQL_2022", "name": "자연어 기반 질의 검색 생성 데이터", "category": 9, "type": 0}
AIHUB_ROW = {
    "db_id": "concerts",
    "utterance_id": "Whn_1",
    "hardness": "easy",
    "utterance_type": "BR01",
    "query": "SELECT Name FROM singer",
    "utterance": "가수 이름을 알려줘",
    "values": [],
    "cols": [{"token": "이름", "start": 3, "column_index": 2}],
}


def wikisql(lab: Lab) -> None:
    for split in ("train", "test"):
        lab.write(f"wikisql/{split}.jsonl", [WIKI_ROW])
        lab.write(f"wikisql/{split}.tables.jsonl", [WIKI_TABLE])


def database(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(path) as made:
        made.execute('CREATE TABLE "singer" ("Singer_ID" int PRIMARY KEY, "Name" varchar(30))')
        made.execute("CREATE TABLE Show (Show_ID int, Singer_ID int, `order` date)")
    made.close()


def spider(lab: Lab) -> None:
    lab.write("spider/tables.json", [CONCERTS])
    lab.write("spider/train_spider.json", [SPIDER_ROW, {**SPIDER_ROW, "question": "Count them."}])
    lab.write("spider/dev.json", [SPIDER_ROW])
    database(lab.folder / "spider/database/concerts/concerts.sqlite")


def spider_ko(lab: Lab) -> None:
    lab.write("spider/tables.json", [CONCERTS])
    line = 'concerts,SELECT count(*) FROM singer,How many singers are there?,"가수가 모두 몇 명이야?"\n'
    for split in ("train", "validation"):
        lab.write(f"spider/{split}_ko.csv", "db_id,query,question,question_ko\n" + line)


def bird(lab: Lab) -> None:
    for split in ("train", "dev"):
        lab.write(f"bird/{split}/{split}.json", [BIRD_ROW])
        lab.write(f"bird/{split}/{split}_tables.json", [CONCERTS])
        database(lab.folder / f"bird/{split}/{split}_databases/concerts/concerts.sqlite")


def aihub(lab: Lab, encoding: str = "utf-8") -> None:
    for split in ("1.Training", "2.Validation"):
        for name, item in (("라벨링데이터/TL/q.json", AIHUB_ROW), ("원천데이터/TS/schema.json", CONCERTS)):
            lab.write(f"aihub/{split}/{name}", {"Dataset": AIHUB_HEAD, "data": [item]}, encoding)


def own_files(lab: Lab) -> None:
    for split in ("train", "test"):
        lab.write(f"{split}.csv", "ddl,질문,정답\nCREATE TABLE t (a INT),몇 개?,SELECT a FROM t\n", "cp949")


FILES: dict[str, Callable[[Lab], None]] = {
    "WikiSQL": wikisql,
    "Spider": spider,
    "Spider-ko": spider_ko,
    "BIRD": bird,
    "AI Hub NL2SQL": aihub,
    "Your own files": own_files,
}


# --- they load -----------------------------------------------------------------------------------------------------------
def test_every_data_set_of_the_hand_out_is_tested() -> None:
    assert {name for name, lines in SNIPPETS.items() if "hub: null" in lines} == set(FILES)


@pytest.mark.parametrize("name", SNIPPETS)
@pytest.mark.parametrize(
    ("base", "further"),
    [
        ("yi-ko-6b-qlora.yaml", {}),
        ("smollm2-135m-cpu.yaml", {"rows": None, "train_rows": None, "test_sha256": None, "options": None}),
    ],
)
def test_the_lines_of_the_hand_out_make_a_recipe_with_either_base(
    tmp_path, name: str, base: str, further: dict
) -> None:
    part = yaml.safe_load(SNIPPETS[name])
    data = {**further, **part.pop("data")}
    if base != "yi-ko-6b-qlora.yaml" and "clean" in data:  # as the text says
        data["clean"] = {"check": "recipes.ko_text2sql.cleaning:check"} | data["clean"]
    text = {"extends": str(ROOT / "recipes/ko_text2sql" / base), "title": name, "data": data, **part}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(text, allow_unicode=True), encoding="utf-8")
    recipe = load_recipe(tmp_path / "mine.yaml")
    sources = (recipe.data.rows, recipe.data.files, recipe.data.hub, recipe.data.load)
    assert sum(source is not None for source in sources) == 1
    assert recipe.data.options == {} and recipe.data.train_rows is None
    if recipe.data.hub and recipe.data.hub.path != "shangrilar/ko_text2sql":
        assert recipe.data.hub.train.config is recipe.data.hub.test.config is None


@pytest.mark.parametrize("name", FILES)
def test_a_data_set_loads_by_the_lines_of_the_hand_out(lab: Lab, name: str) -> None:
    from judge.exact import exact_match
    from judge.sql.schema import parse_schema

    FILES[name](lab)
    assert lab.run(SNIPPETS[name]) == (0, "")
    for row in lab.rows("train") + lab.rows("test"):
        assert {"id", "context", "question", "answer"} <= set(row)
        assert parse_schema(row["context"])
        assert exact_match(row["answer"], row["answer"])[0] == "yes"


def test_wikisql_queries_are_written_out_with_their_values_as_data(lab: Lab) -> None:
    wikisql(lab)
    assert lab.run(SNIPPETS["WikiSQL"])[0] == 0
    row = lab.rows("train")[0]
    assert row["answer"] == (
        "SELECT COUNT(`Format`) FROM table_1_1000181_1 WHERE `State/territory` = 'King''s Landing' AND `No.` > 3"
    )
    assert re.findall(r"^  (.*?),?$", row["context"], re.M) == [
        "`State/territory` TEXT", "`Format` TEXT", "`No.` NUMERIC", "`No. 3` TEXT", "col4 TEXT"
    ]  # fmt: skip
    from judge.execution import run_gold

    assert run_gold(row["context"], row["answer"], instances=3).error is None


def test_wikisql_columns_may_be_called_as_in_its_database_files(lab: Lab) -> None:
    wikisql(lab)
    lines = yaml.safe_load(SNIPPETS["WikiSQL"])["data"] | {"options": {"names": "symbols"}}
    assert lab.run(lines)[0] == 0
    assert "COUNT(col1) FROM table_1_1000181_1 WHERE col0 =" in lab.rows("test")[0]["answer"]


def test_spiders_schema_has_its_keys_and_the_parsed_query_stays_behind(lab: Lab) -> None:
    from judge.sql.schema import parse_schema

    spider(lab)
    assert lab.run(SNIPPETS["Spider"])[0] == 0
    first, second = lab.rows("train")
    assert set(first) == {"id", "db_id", "question", "answer", "context", "db_path"}
    assert (first["id"], second["question"]) == ("train-1", "Count them.")
    schema = parse_schema(first["context"])
    assert schema["singer"].primary == ("singer_id",)
    assert schema["show"].primary == ("show_id", "singer_id")
    assert [(link.columns, link.table) for link in schema["show"].references] == [(("singer_id",), "singer")]
    assert Path(first["db_path"]).is_file()


def test_spiders_ddl_may_come_from_its_databases(lab: Lab) -> None:
    spider(lab)
    lines = yaml.safe_load(SNIPPETS["Spider"])["data"] | {"options": {"ddl": "database"}}
    assert lab.run(lines)[0] == 0
    assert '"Name" varchar(30)' in lab.rows("test")[0]["context"]


def test_spider_ko_has_the_korean_question(lab: Lab) -> None:
    spider_ko(lab)
    assert lab.run(SNIPPETS["Spider-ko"])[0] == 0
    assert lab.rows("test")[0]["question"] == "가수가 모두 몇 명이야?"


def test_bird_keeps_its_evidence(lab: Lab) -> None:
    bird(lab)
    assert lab.run(SNIPPETS["BIRD"])[0] == 0
    assert lab.rows("test")[0]["evidence"] == "all of them"


def test_ai_hub_in_cp949_says_which_line_mends_it_and_it_does(lab: Lab) -> None:
    aihub(lab, "cp949")
    code, said = lab.run(SNIPPETS["AI Hub NL2SQL"])
    assert (code, said.count("\n")) == (2, 1)
    assert "schema.json" in said or "q.json" in said
    assert "`encoding: cp949` under data:" in said
    lines = yaml.safe_load(SNIPPETS["AI Hub NL2SQL"])["data"] | {"encoding": "cp949"}
    assert lab.run(lines) == (0, "")
    assert lab.rows("train")[0] | {"values": 0, "cols": 0, "context": 0} == {
        "id": "Whn_1", "question": "가수 이름을 알려줘", "answer": "SELECT Name FROM singer", "db_id": "concerts",
        "hardness": "easy", "utterance_type": "BR01", "values": 0, "cols": 0, "context": 0,
    }  # fmt: skip


# --- the Hub ---------------------------------------------------------------------------------------------------------------
HUB = {
    "shangrilar/ko_text2sql": {"db_id": 2, "context": "CREATE TABLE t (a INT)", "question": "몇 개?", "answer": "SELECT 1"},
    "gretelai/synthetic_text_to_sql": {
        "id": 5097, "domain": "forestry", "sql_complexity": "single join", "sql_prompt": "How many?",
        "sql_context": "CREATE TABLE t (a INT); INSERT INTO t (a) VALUES (1);", "sql": "SELECT COUNT(*) FROM t;",
    },
    "b-mc2/sql-create-context": {"question": "How many?", "context": "CREATE TABLE t (a INTEGER)", "answer": "SELECT 1"},
}  # fmt: skip


def offline(lab: Lab) -> None:
    """As HF_HUB_OFFLINE=1 sets it, which the libraries read when they are imported; with a cache of its own."""
    import datasets
    import huggingface_hub

    lab.monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    lab.monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    lab.monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(lab.folder / "cache"))


@pytest.mark.parametrize("name", HUB)
def test_a_hub_data_set_loads_from_a_copy(lab: Lab, name: str) -> None:
    import pandas as pd

    offline(lab)
    rows = [{**HUB[name], **({"id": n} if "id" in HUB[name] else {})} for n in range(100)]
    configs = ["origin", "clean"] if name.startswith("shangrilar") else ["default"]
    (lab.folder / "copy").mkdir()
    pd.DataFrame(rows).to_parquet(lab.folder / "copy/rows.parquet")
    splits = "\n".join(f"  - {{split: {split}, path: rows.parquet}}" for split in ("train", "test"))
    head = "\n".join(f"- config_name: {config}\n  data_files:\n{splits}" for config in configs)
    lab.write("copy/README.md", f"---\nconfigs:\n{head}\n---\n")
    code, said = lab.run(SNIPPETS[name].replace(name, "./copy"))
    assert code == 0, said
    row = lab.rows("train")[0]
    assert {"id", "context", "question", "answer"} <= set(row)
    assert len(lab.rows("test")) == (2 if name.startswith("b-mc2") else 100)


def test_two_copies_in_folders_of_the_same_name_are_told_apart(lab: Lab) -> None:
    import pandas as pd

    offline(lab)
    for name in ("one", "two"):
        (lab.folder / name / "copy").mkdir(parents=True)
        pd.DataFrame([{"question": name, "answer": "a"}]).to_parquet(lab.folder / name / "copy/rows.parquet")
        head = "configs:\n- {config_name: default, data_files: [{split: train, path: rows.parquet}]}"
        lab.write(f"{name}/copy/README.md", f"---\n{head}\n---\n")
        split = {"split": "train"}
        code, said = lab.run({"hub": {"path": f"./{name}/copy", "train": split, "test": split}})
        assert (code, [row["question"] for row in lab.rows("train")]) == (0, [name]), said


@pytest.mark.parametrize("name", HUB)
def test_without_a_network_the_hub_is_one_line_that_says_what_to_do(lab: Lab, name: str) -> None:
    offline(lab)
    code, said = lab.run(SNIPPETS[name])
    assert (code, said.strip().count("\n")) == (2, 0), said
    assert "toy.yaml: data.hub" in said
    assert name in said
    assert "data.hub.path: ./FOLDER" in said


# --- mistakes --------------------------------------------------------------------------------------------------------------
def cut(path: str) -> Callable[[Lab], None]:
    def spoil(lab: Lab) -> None:
        whole = (lab.folder / path).read_bytes()
        (lab.folder / path).write_bytes(whole[: len(whole) * 2 // 3])

    return spoil


def written(path: str, content: object) -> Callable[[Lab], None]:
    return lambda lab: lab.write(path, content) and None


def gone(path: str) -> Callable[[Lab], None]:
    return lambda lab: (lab.folder / path).unlink()


def without(row: dict, column: str) -> dict:
    return {key: value for key, value in row.items() if key != column}


# Data set, how its files are spoilt, the file that must be named, what else must be said.
BAD: dict[str, tuple[str, Callable[[Lab], None], str, str]] = {
    "wikisql half-written": ("WikiSQL", cut("wikisql/train.jsonl"), "wikisql/train.jsonl:1", "half-written"),
    "wikisql empty": ("WikiSQL", written("wikisql/train.jsonl", ""), "wikisql/train.jsonl", "empty"),
    "wikisql no tables": ("WikiSQL", gone("wikisql/test.tables.jsonl"), "wikisql/test.tables.jsonl", "no such file"),
    "wikisql cut tables": ("WikiSQL", cut("wikisql/test.tables.jsonl"), "wikisql/test.tables.jsonl:1", "half-written"),
    "wikisql unknown table": (
        "WikiSQL", written("wikisql/train.jsonl", [{**WIKI_ROW, "table_id": "2-2"}]), "wikisql/train.jsonl:1", "'2-2'",
    ),
    "wikisql unknown column": (
        "WikiSQL", written("wikisql/train.jsonl", [WIKI_ROW, {**WIKI_ROW, "sql": {"sel": 9, "agg": 0, "conds": []}}]),
        "wikisql/train.jsonl:2", "can't be written out",
    ),
    "wikisql without sql": (
        "WikiSQL", written("wikisql/train.jsonl", [without(WIKI_ROW, "sql")]), "wikisql/train.jsonl:1", "no sql",
    ),
    "spider half-written": ("Spider", cut("spider/train_spider.json"), "spider/train_spider.json:", "half-written"),
    "spider empty": ("Spider", written("spider/train_spider.json", ""), "spider/train_spider.json", "empty"),
    "spider no rows": ("Spider", written("spider/train_spider.json", []), "spider/train_spider.json", "empty"),
    "spider no tables": ("Spider", gone("spider/tables.json"), "spider/tables.json", "no such file"),
    "spider cut tables": ("Spider", cut("spider/tables.json"), "spider/tables.json:", "half-written"),
    "spider unknown database": (
        "Spider", written("spider/dev.json", [{**SPIDER_ROW, "db_id": "zoo"}]), "spider/dev.json: row 1", "'zoo'",
    ),
    "spider without query": (
        "Spider", written("spider/dev.json", [without(SPIDER_ROW, "query")]), "spider/dev.json: row 1", "no query",
    ),
    "spider broken schema": (
        "Spider", written("spider/tables.json", [{**CONCERTS, "column_types": []}]), "spider/tables.json: row 1", "schema",
    ),
    "spider in cp949": (
        "Spider", written("spider/dev.json", '[{"question": "개수"}]'.encode("cp949")), "spider/dev.json:1", "cp949",
    ),
    "spider-ko no rows": (
        "Spider-ko", written("spider/train_ko.csv", "db_id,query,question_ko\n"), "spider/train_ko.csv", "empty",
    ),
    "spider-ko other columns": (
        "Spider-ko", written("spider/train_ko.csv", "db_id,query,ko\nconcerts,SELECT 1,개수\n"),
        "spider/train_ko.csv:2", "no question_ko",
    ),
    "bird half-written": ("BIRD", cut("bird/train/train.json"), "bird/train/train.json:", "half-written"),
    "bird no dev": ("BIRD", gone("bird/dev/dev.json"), "bird/dev/dev.json", "no such file"),
    "aihub still zipped": (
        "AI Hub NL2SQL", lambda lab: [path.unlink() for path in (lab.folder / "aihub/1.Training").rglob("*.json")] and None,
        "aihub/1.Training", "unpack",
    ),
    "aihub half-written": (
        "AI Hub NL2SQL", cut("aihub/1.Training/라벨링데이터/TL/q.json"), "TL/q.json:", "half-written",
    ),
    "aihub something else": (
        "AI Hub NL2SQL", written("aihub/1.Training/x.json", {"data": [{"a": 1}]}), "1.Training/x.json: row 1", "neither",
    ),
    "aihub no list": ("AI Hub NL2SQL", written("aihub/1.Training/x.json", {"a": 1}), "1.Training/x.json:1", '"data"'),
    "own files are utf-8 after all": (
        "Your own files", written("train.csv", "ddl,질문,정답\nCREATE TABLE t (a INT),몇 개?,SELECT a FROM t\n"),
        "train.csv", "leave data.encoding out",
    ),
    "own files in no known encoding": (
        "Your own files", written("train.csv", b"ddl,\xff\xff,a\n"), "train.csv:1", "not cp949",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("name", "spoil", "place", "expected"), BAD.values(), ids=BAD)
def test_a_mistake_is_one_line_with_its_place(lab: Lab, name: str, spoil, place: str, expected: str) -> None:
    FILES[name](lab)
    spoil(lab)
    code, said = lab.run(SNIPPETS[name])
    assert (code, said.count("\n")) == (2, 1), said
    assert place in said
    assert expected in said.split(place, 1)[1]
    assert not list((lab.folder / "runs").rglob("*.part"))


def test_a_folder_that_is_not_there_is_named(lab: Lab) -> None:
    code, said = lab.run(SNIPPETS["Spider"])
    assert (code, said.count("\n")) == (2, 1)
    assert "data.load.folder: spider: no such folder" in said


def test_an_unknown_encoding_is_refused_by_the_recipe(lab: Lab) -> None:
    code, said = lab.run({"files": {"train": "a.csv", "test": "a.csv"}, "encoding": "cp9499"})
    assert code == 2
    assert "data.encoding: expected a text encoding that Python knows" in said


def test_utf_16_says_so_and_loads_once_named(lab: Lab) -> None:
    lab.write("a.csv", "question,answer\n몇 개?,a\n", "utf-16")
    lines = {"files": {"train": "a.csv", "test": "a.csv"}}
    assert "`encoding: utf-16`" in lab.run(lines)[1]
    assert lab.run({**lines, "encoding": "utf-16"}) == (0, "")
    assert lab.rows("train")[0]["question"] == "몇 개?"


def test_a_changed_database_folder_is_read_again_and_an_unchanged_one_is_not(lab: Lab) -> None:
    spider(lab)
    lab.run(SNIPPETS["Spider"])
    before = (lab.folder / "runs/toy/toy/data/manifest.json").stat().st_mtime_ns
    lab.run(SNIPPETS["Spider"])
    assert (lab.folder / "runs/toy/toy/data/manifest.json").stat().st_mtime_ns == before
    lab.write("spider/dev.json", [SPIDER_ROW, {**SPIDER_ROW, "question": "More?"}])
    lab.run(SNIPPETS["Spider"])
    assert len(lab.rows("test")) == 2


# --- memory ------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["jsonl", "csv", "json", "parquet"])
def test_rows_come_as_they_are_read(tmp_path: Path, kind: str) -> None:
    """The peak of what is held while a file is read is a fraction of the file."""
    import tracemalloc

    from scripts.loaders import read_table

    path = tmp_path / f"rows.{kind}"
    rows = [{"id": str(n), "question": "q" * 500, "answer": f"{n}" * 100} for n in range(30_000)]
    if kind == "parquet":
        import pandas as pd

        pd.DataFrame(rows).to_parquet(path, row_group_size=1000)
    elif kind == "csv":
        path.write_text("id,question,answer\n" + "".join(",".join(row.values()) + "\n" for row in rows))
    elif kind == "json":
        path.write_text(json.dumps(rows))
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    size = sum(len(row["question"]) + len(row["answer"]) for row in rows)
    del rows
    tracemalloc.start()
    count = sum(1 for _ in read_table(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 30_000
    assert peak < size / 3
