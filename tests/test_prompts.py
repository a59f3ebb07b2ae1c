"""scripts/prompts.py and the prompt of recipes/ko_text2sql: what is in a row is data, never a template."""

from __future__ import annotations

from pathlib import Path

import pytest

from recipes.ko_text2sql.prompt import make_prompt, prepare
from recipes.ko_text2sql.rows import make
from recipes.ko_text2sql.shorthand import shorten
from scripts.prompts import PromptMaker, prompt_maker
from scripts.recipe import ROOT, UserError, load_recipe

RECIPE = """\
task: toy
title: A toy
model: embedded:smollm2-135m-instruct
data: {files: {train: train.csv, test: test.csv}}
prompt: {template: prompt.txt, end: "<end>"}
train: {lr: 0.001, batch_size: 1, block_size: 64}
generate: {column: said}
judge: {model: some-judge, verdicts: {exact: exact}}
hub: {license: mit}
"""
SHORT = ROOT / "recipes/ko_text2sql/smollm2-135m-cpu.yaml"
COURSE = ROOT / "recipes/ko_text2sql/yi-ko-6b-qlora.yaml"
TEMPLATE = "Read.\n{context}\n{question}\nAnswer:\n{answer}{end}\n"
ROW = {"id": "7", "context": "some context", "question": "a question", "answer": "an answer"}


def maker(tmp_path: Path, template: str | bytes = TEMPLATE) -> PromptMaker:
    (tmp_path / "toy.yaml").write_text(RECIPE, encoding="utf-8")
    (tmp_path / "prompt.txt").write_bytes(template if isinstance(template, bytes) else template.encode())
    return prompt_maker(load_recipe(tmp_path / "toy.yaml"))


@pytest.fixture(scope="module")
def test_rows() -> list[dict]:
    return make(seed=42)["test"]


def test_a_row_is_filled_in(tmp_path):
    filled = maker(tmp_path)
    assert filled.prompt(ROW) == "Read.\nsome context\na question\nAnswer:\n"
    assert filled.text(ROW) == "Read.\nsome context\na question\nAnswer:\nan answer<end>"
    assert filled.places == ["context", "question"]
    assert filled.answer_after.strip() == "Answer:"


@pytest.mark.parametrize("column", ["context", "question", "answer"])
@pytest.mark.parametrize(
    "text",
    [
        "{answer}",
        "{context}",
        "{question}",
        "{end}",
        "{id}",
        "{no_such_place}",
        "{}",
        "{{answer}}",
        "{0}",
        "{answer",
        "}{",
        "$answer ${answer} $$ $1",
        "%s %(answer)s %",
        r"\1 \g<0> \n \\",
        "{% raw %}{{ answer }}",
        'SELECT \'{"a": 1}\' AS "$.a"',
        "<end>",
        "값 {값} $값",
        "",
        " \t two lines\n\n ",
    ],
)
def test_text_from_a_row_stays_as_it_is(tmp_path, column, text):
    filled = maker(tmp_path)
    row = {**ROW, column: text}
    prompt = f"Read.\n{row['context']}\n{row['question']}\nAnswer:\n"
    assert filled.prompt(row) == prompt
    assert filled.text(row) == f"{prompt}{row['answer']}<end>"


def test_a_place_written_twice_is_filled_twice(tmp_path):
    filled = maker(tmp_path, "{question} {question}\nAnswer: {answer}{end}\n")
    assert filled.places == ["question"]
    assert filled.text({**ROW, "question": "{question}"}) == "{question} {question}\nAnswer: an answer<end>"


def test_values_that_are_no_text_are_written_out(tmp_path):
    assert maker(tmp_path).text({**ROW, "question": 0, "answer": 12}).endswith("\n0\nAnswer:\n12<end>")


@pytest.mark.parametrize("row", [{"id": "7", "context": "c", "answer": "a"}, {**ROW, "question": None}])
def test_a_place_with_no_value_is_named_with_its_row_and_what_there_is(tmp_path, row):
    with pytest.raises(UserError) as caught:
        maker(tmp_path).prompt(row)
    message = str(caught.value)
    assert "\n" not in message
    for part in ("prompt.txt", "{question}", "'7'", "context"):
        assert part in message


def test_a_row_without_an_answer_has_a_prompt_but_no_text(tmp_path):
    filled = maker(tmp_path)
    row = {key: value for key, value in ROW.items() if key != "answer"}
    assert filled.prompt(row) == filled.prompt(ROW)
    with pytest.raises(UserError, match=r"no value for \{answer\}"):
        filled.text(row)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("Read.\n{question}\nAnswer:\n{end}\n", "{answer}"),
        ("Read.\n{question}\nAnswer:\n", "{answer}"),
        ("{question}\n{answer}{end}\n", "expected a fixed line of text"),
        ("{answer}{end}\n", "expected a fixed line of text"),
        ("Read.\n{question}\nAnswer:\n{answer}\n", "{end}"),
        ("Read.\n{question}\nAnswer:\n{answer} and so on {end}\n", "{end}"),
        ("Read.\n{end}{question}\nAnswer:\n{answer}\n", "{end}"),
        ("", "{answer}"),
        ("질문\n{question}\n답:\n{answer}{end}\n".encode("cp949"), "not UTF-8"),
    ],
)
def test_a_template_that_cannot_work_is_refused_in_one_line(tmp_path, template, expected):
    with pytest.raises(UserError) as caught:
        maker(tmp_path, template)
    assert str(caught.value).startswith(str(tmp_path / "prompt.txt"))
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_template_of_windows_makes_the_same_prompt(tmp_path):
    plain = maker(tmp_path).text(ROW)
    assert maker(tmp_path, TEMPLATE.replace("\n", "\r\n")).text(ROW) == plain
    assert maker(tmp_path, b"\xef\xbb\xbf" + TEMPLATE.encode()).text(ROW) == plain


def test_a_missing_template_is_named(tmp_path):
    maker(tmp_path)
    (tmp_path / "prompt.txt").unlink()
    with pytest.raises(UserError, match=r"prompt\.txt: no such file"):
        prompt_maker(load_recipe(tmp_path / "toy.yaml"))


def test_a_prepare_function_that_is_not_there_is_named(tmp_path):
    maker(tmp_path)
    recipe = tmp_path / "toy.yaml"
    recipe.write_text(RECIPE.replace('"<end>"', '"<end>", prepare: "recipes.ko_text2sql.prompt:gone"'))
    with pytest.raises(UserError, match=r"prompt\.prepare: can't load 'recipes\.ko_text2sql\.prompt:gone'"):
        prompt_maker(load_recipe(recipe))


def test_the_prompt_is_the_exact_beginning_of_the_text_for_every_test_row(test_rows):
    assert len(test_rows) == 112
    assert len({row["id"] for row in test_rows}) == 112
    end = load_recipe(ROOT / "recipes/ko_text2sql/smollm2-135m-cpu.yaml").prompt.end
    for row in test_rows:
        prompt = make_prompt(row["context"], row["question"])
        assert make_prompt(ddl=row["context"], question=row["question"], query=row["answer"]) == (
            f"{prompt}{shorten(row['answer'], row['context'])}{end}"
        ), row["id"]
        whole = make_prompt(row["context"], row["question"], recipe=COURSE)
        assert row["question"] in whole and row["context"] in whole
        assert row["answer"] not in prompt, f"{row['id']}: the prompt gives the answer away"


def test_a_notebooks_prompt_is_the_stages_prompt(test_rows):
    stage = prompt_maker(load_recipe(ROOT / "recipes/ko_text2sql/smollm2-135m-cpu.yaml"))
    for row in test_rows[:5]:
        assert make_prompt(row["context"], row["question"]) == stage.prompt(row)
        assert make_prompt(row["context"], row["question"], row["answer"]) == stage.text(row)


@pytest.mark.parametrize(
    ("ddl", "question", "query"),
    [
        ("CREATE TABLE t (a INT)", "값이 {answer} 인 것?", "SELECT a FROM t WHERE a = '{context}'"),
        ("{answer} is no schema", "$a {hint} {question}?", "SELECT '$1', '{end}'"),
        ("", "", "SELECT 1"),
        ("CREATE TABLE `half", "'\"\\", "SELECT '\\1'"),
    ],
)
def test_hostile_rows_of_the_task_come_out_whole(ddl, question, query):
    for recipe in (SHORT, COURSE):
        prompt, text = make_prompt(ddl, question, recipe=recipe), make_prompt(ddl, question, query, recipe=recipe)
        assert text.startswith(prompt)
        assert text.removeprefix(prompt).startswith(query)
    assert question in prompt and ddl in prompt


def test_preparing_a_row_leaves_the_row_itself_alone(test_rows):
    row = dict(test_rows[0])
    prepared = prepare(row)
    assert row == test_rows[0]
    assert (prepared["id"], prepared["answer"]) == (row["id"], row["answer"])
