"""The data card counts what is there, and the Hub gets exactly its folder; a task that knows nothing of queries."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from recipes.ko_text2sql.describe import features
from scripts.card_text import cell, fenced, ranks
from scripts.data_card import as_kind, kind_of
from scripts.recipe import ROOT, run_main
from tests.hub_server import HubServer, Repo
from tests.test_loaders import REST

TOKEN, REPO = "hf_TheSecretOfThisTest", "someone/greetings"
EVIL = "{{ 7 * 7 }} {% include 'x' %} ``` <script>alert(1)</script> | --- \n---\nlicense: mine"
TRAIN = [
    {"id": "a", "context": "morning", "question": "hello", "answer": "good morning", "n": 1, "names": {"x": "y"}},
    {"id": "b", "context": "morning", "question": "hi", "answer": "morning!", "n": 2, "names": None},
    {"id": "c", "context": "noon", "question": "안녕", "answer": EVIL, "n": 2.5, "names": {"z": ["1"]}},
]
TEST = [{"id": "d", "context": "night", "question": "bye", "answer": "good night", "n": None, "names": None}]
FOLDER = {"README.md", "kinds.png", "lengths.png", "test.parquet", "train.parquet"}


def kinds(row: dict) -> dict:
    """What `data.describe` of this file's recipe names."""
    signs = [sign for sign in "!|" if sign in row["answer"]]
    return {"time of day": row["context"], "signs": [*signs, "<b>" if "script" in row["answer"] else "none"]}


kinds.order = {"time of day": ["night", "noon"]}

Result = tuple[int, str, str]


class Lab:
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
        self.folder, self.out, self.monkeypatch, self.capsys = (
            folder,
            folder / "runs/toy/toy/hub-data",
            monkeypatch,
            capsys,
        )
        monkeypatch.setenv("RUNS", str(folder / "runs"))
        monkeypatch.chdir(folder)
        self.rows("train.jsonl", TRAIN)
        self.rows("test.jsonl", TEST)
        (folder / "about.md").write_text("By hand: {{ about }}.\n", encoding="utf-8")

    def rows(self, name: str, rows: list[dict]) -> None:
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (self.folder / name).write_text(text, encoding="utf-8")

    def write(self, card: dict | None = None, bare: bool = False, **data: object) -> None:
        files = {"train": str(self.folder / "train.jsonl"), "test": "test.jsonl"}
        about = {"title": "Greetings", "about": "about.md", "languages": ["ko", "en"], "tags": ["greeting"]} | (
            card or {}
        )
        content = {"files": files, "describe": "tests.test_data_card:kinds", "card": about} | data
        if bare:
            content.pop("card")
        (self.folder / "toy.yaml").write_text(yaml.safe_dump({**REST, "data": content}), encoding="utf-8")

    def run(self, name: str, endpoint: str = "http://127.0.0.1:9", **env: str) -> Result:
        from huggingface_hub import constants

        for key in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUB_REPO"):
            self.monkeypatch.delenv(key, raising=False)
        for key, value in env.items():
            self.monkeypatch.setenv(key, value)
        self.monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        self.monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        self.monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(self.folder / "no-login"))
        self.monkeypatch.setattr(sys, "argv", [name, "toy.yaml"])
        code = 0
        try:
            run_main(import_module(f"scripts.{name}").main)
        except SystemExit as end:
            code = end.code
        return code, *self.capsys.readouterr()

    def made(self, card: dict | None = None, **data: object) -> tuple[dict, str]:
        """Front matter and text of the card of a recipe with these lines."""
        self.write(card, **data)
        for name in ("data", "data_card"):
            code, _, err = self.run(name)
            assert code == 0, err
        return self.card()

    def card(self) -> tuple[dict, str]:
        _, front, text = (self.out / "README.md").read_text(encoding="utf-8").split("---\n", 2)
        return yaml.safe_load(front), text


@pytest.fixture
def lab(tmp_path, monkeypatch, capsys) -> Lab:
    return Lab(tmp_path, monkeypatch, capsys)


def table(text: str, head: str) -> list[list[str]]:
    """The cells of the table whose first heading is this one, its two head lines left out."""
    lines = text[text.index(f"\n| {head} |") + 1 :].split("\n\n")[0].splitlines()
    return [[part.strip() for part in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


# --- the card ----------------------------------------------------------------------------------------------------------
def test_the_card_says_what_is_in_the_files_beside_it(lab: Lab) -> None:
    front, text = lab.made()
    assert {path.name for path in lab.out.iterdir()} == FOLDER
    assert front == {
        "license": "mit", "pretty_name": "Greetings", "language": ["ko", "en"], "task_categories": ["text-generation"],
        "size_categories": ["n<1K"], "tags": ["greeting"],
        "configs": [{"config_name": "default", "data_files": [
            {"split": "train", "path": "train.parquet"}, {"split": "test", "path": "test.parquet"}]}],
    }  # fmt: skip
    files = table(text, "split")
    assert [row[:3] for row in files] == [["train", "3", "`train.parquet`"], ["test", "1", "`test.parquet`"]]
    for _, _, name, size, found in files:
        content = (lab.out / name.strip("`")).read_bytes()
        assert (int(size.replace(",", "")), found) == (len(content), f"`{hashlib.sha256(content).hexdigest()}`")
    lengths = {(row[0], row[1]): row[2:6] for row in table(text, "text")}
    assert lengths["context", "train"] == ["2", "7", "7", "7"]
    assert lengths["question", "train"] == ["3", "2", "5", "5"]
    assert table(text, "time of day") == [  # the order is the describing function's, then by number
        ["night", "0", "0.0 %", "1", "100.0 %"],
        ["noon", "1", "33.3 %", "0", "0.0 %"],
        ["morning", "2", "66.7 %", "0", "0.0 %"],
    ]
    assert table(text, "signs")[0] == ["none", "2", "66.7 %", "1", "100.0 %"]
    assert "Licence: mit" in text and 'load_dataset("user/name")' in text


def test_the_rows_come_back_from_the_folder_as_they_went_in(lab: Lab) -> None:
    from datasets import load_dataset

    lab.made()
    found = load_dataset(str(lab.out), cache_dir=str(lab.folder / "cache"))
    assert found["train"].to_list() == [
        {**row, "n": float(row["n"]), "names": row["names"] and json.dumps(row["names"])} for row in TRAIN
    ]
    assert found["test"].to_list() == TEST


def test_as_json_lines_with_all_columns_they_are_the_very_bytes_of_the_data_stage(lab: Lab) -> None:
    _, text = lab.made({"files": "jsonl"})
    for split in ("train", "test"):
        stage = (lab.out.parent / "data" / f"{split}.jsonl").read_bytes()
        assert (lab.out / f"{split}.jsonl").read_bytes() == stage
        assert text.count(hashlib.sha256(stage).hexdigest()) == 2


def test_only_the_columns_that_the_recipe_names_go_up(lab: Lab) -> None:
    _, text = lab.made({"files": "jsonl", "columns": ["answer", "id"]})
    lines = (lab.out / "train.jsonl").read_text(encoding="utf-8").splitlines()
    assert [list(json.loads(line)) for line in lines] == [["answer", "id"]] * 3
    assert table(text, "column") == [["answer", "text"], ["id", "text"]]


def test_text_of_a_row_is_no_template_no_markup_and_no_front_matter(lab: Lab) -> None:
    lab.rows("train.jsonl", [{**TRAIN[0], "context": EVIL, "answer": EVIL}])
    front, text = lab.made()
    assert front["license"] == "mit"
    assert "By hand: {{ about }}." in text
    assert "{{ 7 * 7 }} {% include 'x' %}" in text and "49" not in re.sub(r"[0-9a-f]{64}", "", text)
    outside = re.sub(r"^(`{3,})\w+\n.*?^\1$", "", text, flags=re.M | re.S)
    assert "<script>" in text and "<script>" not in outside
    assert table(text, "time of day")[-1][1:] == ["1", "100.0 %", "0", "0.0 %"]


def test_no_path_of_this_machine_is_on_the_card(lab: Lab) -> None:
    lab.made()
    assert not any(str(lab.folder).encode() in path.read_bytes() for path in lab.out.iterdir())
    assert "train: train.jsonl" in lab.card()[1]


def test_the_plots_show_something(lab: Lab) -> None:
    from PIL import Image

    lab.made()
    for name in ("lengths.png", "kinds.png"):
        with Image.open(lab.out / name) as picture:
            assert picture.width > 500 and len(picture.convert("RGB").getcolors(1 << 24)) > 20


def test_what_cleaning_dropped_is_told(lab: Lab) -> None:
    lab.rows("train.jsonl", [*TRAIN, {**TRAIN[0], "id": "e"}])
    _, text = lab.made(clean={"check": "tests.test_data_card:nothing_wrong"})
    assert "Of 4 training rows that were read, cleaning by rule kept 3" in text
    assert table(text, "rule") == [["duplicate", "1"]]


def nothing_wrong(row: dict) -> dict:
    return {"faults": [], "names": []}


def test_rows_that_a_model_wrote_are_called_so(lab: Lab) -> None:
    about = {"model": "some-model", "rows": 3, "rounds": [{}, {}]}
    (lab.folder / "report.json").write_text(json.dumps(about))
    assert "written by the language model `some-model` and cleaned by rule: 3 rows, in 2 rounds" in lab.made()[1]


def test_a_second_build_does_nothing_and_a_file_more_is_gone_after_the_next(lab: Lab) -> None:
    lab.made()
    before = {path.name: path.read_bytes() for path in lab.out.iterdir()}
    assert "nothing has changed" in lab.run("data_card")[1]
    (lab.out / "stray.pickle").write_text("x")
    assert lab.run("data_card")[0] == 0
    assert {path.name: path.read_bytes() for path in lab.out.iterdir()} == before


MISTAKES = [
    ("no section", {"bare": True}, True, "data.card: missing; recipes that have it: "),
    ("no rows", {}, False, "train.jsonl: no such file; `make data RECIPE=toy.yaml` makes it"),
    ("no such function", {"describe": "tests.test_data_card:nobody"}, True, "can't load 'tests.test_data_card:nobody'"),
    ("no text about it", {"card": {"title": "x", "about": "none.md"}}, True, "none.md: no such file"),
]


@pytest.mark.parametrize(
    ("change", "rows", "said"), [case[1:] for case in MISTAKES], ids=[case[0] for case in MISTAKES]
)
def test_a_mistake_is_one_line(lab: Lab, change: dict, rows: bool, said: str) -> None:
    lab.write()
    if rows:
        assert lab.run("data")[0] == 0
    lab.write(**change)
    code, _, err = lab.run("data_card")
    assert code == 2 and said in err and len(err.splitlines()) == 1
    assert not lab.out.exists()


def test_rows_of_other_settings_get_no_card(lab: Lab) -> None:
    lab.made()
    lab.write(train_rows=2)
    code, _, err = lab.run("data_card")
    assert code == 2 and "made before `data` changed in toy.yaml; `make data RECIPE=toy.yaml` makes it anew" in err


# --- the Hub -----------------------------------------------------------------------------------------------------------
def test_the_hub_holds_exactly_the_folder_as_a_data_set(lab: Lab) -> None:
    lab.made()
    with HubServer(TOKEN) as hub:
        code, out, err = lab.run("push_data", hub.url, HF_TOKEN=TOKEN, HUB_REPO=REPO)
        assert code == 0, err
        again = lab.run("push_data", hub.url, HF_TOKEN=TOKEN, HUB_REPO=REPO)
    assert set(hub.repos) == {f"datasets/{REPO}"}
    stored = hub.repos[f"datasets/{REPO}"]
    assert stored.files == {path.name: path.read_bytes() for path in lab.out.iterdir()} and set(stored.files) == FOLDER
    assert stored.private and len(stored.commits) == 1
    assert f"{hub.url}/datasets/{REPO} (private)" in out and again[0] == 0 and "nothing has changed" in again[1]
    assert f'load_dataset("{REPO}")' in lab.card()[1]
    assert not any(TOKEN.encode() in path.read_bytes() for path in lab.folder.rglob("*") if path.is_file())


def test_without_repo_or_token_the_folder_is_built_and_the_way_to_push_is_told(lab: Lab) -> None:
    lab.made()
    for env, missing in (({"HF_TOKEN": TOKEN}, "no repo name"), ({"HUB_REPO": REPO}, "no token")):
        code, out, err = lab.run("push_data", **env)
        assert code == 0, err
        assert missing in out and "make push-data RECIPE=toy.yaml" in out and TOKEN not in out + err
        assert {path.name for path in lab.out.iterdir()} == FOLDER


REFUSALS = [
    (
        "no right to write",
        {"/api/repos/create": 403, "/api/datasets/": 403},
        "may not write to someone/greetings (403)",
    ),
    ("upload refused", {"/upload/": 403}, "may not write to someone/greetings (403)"),
]


@pytest.mark.parametrize(("refuse", "said"), [case[1:] for case in REFUSALS], ids=[case[0] for case in REFUSALS])
def test_a_refused_push_is_said_without_the_token(lab: Lab, refuse: dict, said: str) -> None:
    lab.made()
    with HubServer(TOKEN, refuse) as hub:
        code, out, err = lab.run("push_data", hub.url, HF_TOKEN=TOKEN, HUB_REPO=REPO)
    assert code == 2 and said in err and "Traceback" not in err and TOKEN not in out + err
    assert not any(stored.files for stored in hub.repos.values())


def test_nothing_goes_up_to_a_public_data_set_when_the_recipe_says_private(lab: Lab) -> None:
    lab.made()
    with HubServer(TOKEN) as hub:
        hub.repos[f"datasets/{REPO}"] = Repo(private=False)
        code, _, err = lab.run("push_data", hub.url, HF_TOKEN=TOKEN, HUB_REPO=REPO)
    assert code == 2 and f"{REPO} is public" in err
    assert not hub.repos[f"datasets/{REPO}"].files


# --- parts -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("counts", "found"),
    [({5: 1}, (5, 5, 5)), ({1: 1, 2: 1}, (1, 2, 2)), ({1: 19, 9: 1}, (1, 1, 9)), ({1: 94, 7: 5, 8: 1}, (1, 7, 8))],
)
def test_median_95th_and_largest_of_counted_numbers(counts: dict, found: tuple) -> None:
    assert ranks(Counter(counts)) == found


@pytest.mark.parametrize(
    ("types", "kind", "value", "written"),
    [
        ({"int", "NoneType"}, "int64", 3, 3), ({"int", "float"}, "float64", 3, 3.0), ({"bool"}, "bool", True, True),
        ({"bool", "int"}, "text", True, "true"), ({"str", "int"}, "text", 3, "3"), ({"str"}, "text", "가", "가"),
        ({"list"}, "json", ["가"], '["가"]'), ({"NoneType"}, "text", None, None), (set(), "text", None, None),
    ],
)  # fmt: skip
def test_a_column_gets_the_kind_that_holds_all_its_values(
    types: set, kind: str, value: object, written: object
) -> None:
    assert (kind_of(types), as_kind(value, kind)) == (kind, written)


def test_text_can_leave_neither_a_cell_nor_a_fence() -> None:
    assert cell("a|b\n<i> [x](y) `c` *d*") == r"a\|b &lt;i&gt; \[x\](y) \`c\` \*d\*"
    assert fenced("a\n````\nb") == "`````text\na\n````\nb\n`````"


SHOP = "CREATE TABLE a (x INT); CREATE TABLE b (y INT);"
QUERIES = [
    ("SELECT x FROM a", "easy", []),
    ("SELECT x FROM a WHERE x IN (SELECT y FROM b)", "hard", ["WHERE", "IN", "subquery"]),
    ("SELECT x FROM a UNION SELECT y FROM b", "hard", ["set operation"]),
    ("WITH c AS (SELECT x FROM a) SELECT x FROM c", "easy", ["WITH"]),
    ("SELECT x FROM a JOIN b ON x = y", "easy", ["JOIN of two tables"]),
    ("SELECT COUNT(DISTINCT x) FROM a GROUP BY x HAVING COUNT(*) > 1", "medium", ["DISTINCT", "GROUP BY", "HAVING", "aggregate"]),
    ("SELECT x FROM a WHERE x IS NOT NULL ORDER BY x LIMIT 1", "hard", ["WHERE", "NOT", "NULL", "ORDER BY", "LIMIT"]),
    ("broken (", "extra", []),
]  # fmt: skip


@pytest.mark.parametrize(("query", "level", "parts"), QUERIES)
def test_what_the_task_says_of_a_row(query: str, level: str, parts: list[str]) -> None:
    found = features({"db_id": 7, "context": SHOP, "answer": query})
    assert found == {"db_id": "7", "hardness": level, "tables in the schema": "2", "SQL features": parts}


def test_the_default_recipe_describes_its_rows_and_has_a_card() -> None:
    from scripts.recipe import load_function, load_recipe

    recipe = load_recipe(ROOT / "recipes/ko_text2sql/smollm2-135m-cpu.yaml")
    assert load_function(recipe, "data.describe", recipe.data.describe) is features
    assert recipe.file(recipe.data.card.about)
