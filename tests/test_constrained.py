"""Answers kept to a grammar: the task's grammar of a row, and the masks that keep any model to it."""

from __future__ import annotations

import re

import pytest

from recipes.ko_text2sql.constrain import grammar
from recipes.ko_text2sql.rows import make
from recipes.ko_text2sql.shorthand import shorten
from scripts.recipe import ROOT

SCHEMA = "CREATE TABLE players (player_id INT PRIMARY KEY, name TEXT, level INT); CREATE TABLE items (item_id INT, price INT)"
SMOKE = ROOT / "recipes/ko_text2sql/smoke.yaml"
ROW = {"id": "1", "context": SCHEMA, "question": "레벨 30 이상인 '김하늘' 플레이어"}


@pytest.fixture(scope="module")
def reader():
    """llguidance's view of a tokenizer that has a token for each byte and some that cross a grammar's words."""
    import llguidance.hf

    return llguidance.hf.from_tokenizer(byte_tokenizer())


def byte_tokenizer():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("Ġ", "F"), ("O", "M"), ("Ġ", "n"), ("(", "*")]
    words = ["</s>", *alphabet, *("".join(pair) for pair in merges)]
    backend = Tokenizer(models.BPE(vocab={word: at for at, word in enumerate(words)}, merges=merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>", pad_token="</s>")


def random_model(tokenizer, *, seed: int, layers: int, key_value_heads: int):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    size = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": layers, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=len(tokenizer), num_key_value_heads=key_value_heads, **size)
    return LlamaForCausalLM(config).eval()


def accepts(reader, text: str, row: dict = ROW) -> bool:
    from scripts.constrained import matcher

    tokens = [*reader.tokenize_str(text), reader.eos_token]
    return matcher(reader, grammar(row)).validate_tokens(tokens) == len(tokens)


@pytest.mark.parametrize(
    ("answer", "inside"),
    [
        ("SELECT name FROM players WHERE level >= 30", True),
        ("SELECT COUNT(*) FROM players", True),
        ("SELECT COUNT(DISTINCT name) FROM players", True),
        ("SELECT players.name, AVG(items.price) FROM items GROUP BY players.name HAVING COUNT(*) > 1 ORDER BY AVG(items.price) DESC LIMIT 1", True),
        ("SELECT name FROM players WHERE level > (SELECT AVG(level) FROM players)", True),
        ("SELECT name FROM players WHERE name = '김하늘'", True),
        ("SELECT name FROM players WHERE name LIKE '김%'", True),
        ("SELECT name FROM players UNION SELECT price FROM items", True),
        ("SELECT name, COUNT(items) FROM players GROUP BY name HAVING COUNT(items) > 1", True),  # shorthand's rows of a table
        ("SELECT name FROM players WHERE items IS NULL", True),
        ("SELECT name FROM players WHERE EXISTS (SELECT items WHERE price > 30)", True),
        ("SELECT name FROM players WHERE EXISTS (SELECT 1 FROM items WHERE item_id = player_id)", True),
        ("SELECT name FROM players WHERE level > 30 AND item_id = player_id", False),  # keys meet where subqueries and joins do
        ("SELECT name FROM players WHERE EXISTS (SELECT items WHERE EXISTS (SELECT items WHERE price > 30))", False),
        ("SELECT name FROM players WHERE AVG(level) > 30", False),
        ("SELECT SUM(player_id) FROM players", False),
        ("SELECT name FROM players GROUP BY AVG(level)", False),
        ("SELECT name FROM players WHERE level = 1", False),
        ("SELECT name FROM players WHERE name = '늘'", False),  # from within a word
        ("SELECT name FROM players WHERE level BETWEEN 30 AND 30", True),
        ("SELECT nickname FROM players", False),  # no such column
        ("SELECT name FROM guilds", False),  # no such table
        ("SELECT guilds.name FROM players", False),
        ("SELECT name FROM players WHERE level >= 31", False),  # a number that nobody said
        ("SELECT name FROM players WHERE name = '박하늘'", False),  # nor a name
        ("SELECT name FROM players; DROP TABLE players", False),
        ("SELECT name FROM", False),
        ("I don't know", False),
    ],
)  # fmt: skip
def test_the_grammar_of_a_row_knows_its_schema_and_its_words(reader, answer: str, inside: bool) -> None:
    assert accepts(reader, answer) is inside


@pytest.mark.parametrize(
    ("question", "condition", "inside"),
    [
        ("레벨 10에서 30 사이", "level BETWEEN 10 AND 30", True),
        ("레벨 10에서 30 사이", "level BETWEEN 30 AND 10", False),
        ("2024년 가입", "joined_on >= '2024-01-01'", True),
        ("2024년 전 가입", "joined_on <= '2023-12-31'", True),
        ("2024년 가입", "joined_on >= '2018-01-01'", False),
        ("최근 가입", "joined_on >= '2024-01-01'", False),
        ("2024년 가입", "YEAR(joined_on) = 2024", True),
        ("2024년 가입", "YEAR(level) = 2024", False),
        ("차단된 유저", "is_banned = 1", True),
        ("차단된 유저", "active = 0", True),  # declared BOOLEAN
        ("차단된 유저", "level = 1", False),
    ],
)
def test_conditions_speak_of_what_the_question_says(reader, question: str, condition: str, inside: bool) -> None:
    schema = "CREATE TABLE users (user_id INT PRIMARY KEY, level INT, joined_on DATE, is_banned INT, active BOOLEAN)"
    row = {"id": "1", "context": schema, "question": question}
    assert accepts(reader, f"SELECT user_id FROM users WHERE {condition}", row) is inside


def test_the_answers_of_the_training_rows_are_inside_their_grammars(reader) -> None:
    rows = make(seed=3, train_rows=400, longest_answer=140, answerable_only=True)["train"]
    outside = [row["answer"] for row in rows if not accepts(reader, shorten(row["answer"], row["context"]), row)]
    assert len(outside) <= 4, outside


@pytest.mark.parametrize("question", ["가" * 5000, " ".join(map(str, range(300))), "\x00 \\ /x/ <said> %regex {"])
def test_an_odd_question_makes_no_large_or_broken_grammar(reader, question: str) -> None:
    row = ROW | {"question": question}
    assert len(grammar(row)) < 100_000
    assert accepts(reader, "SELECT name FROM players WHERE level > 0", row)


def test_a_row_without_a_schema_is_not_bound() -> None:
    assert grammar(ROW | {"context": "no DDL"}) == ""


def test_a_random_model_writes_queries_of_the_schema_when_it_is_bound() -> None:

    from scripts.constrained import GrammarProcessor

    tokenizer = byte_tokenizer()
    tokenizer.padding_side = "left"
    model = random_model(tokenizer, seed=0, layers=1, key_value_heads=2)
    bound = 'start: "SELECT " ("name" | "level") " FROM players"'
    prompts = tokenizer(["a", "bcd", "ef"], return_tensors="pt", padding=True, return_token_type_ids=False)
    processors = [GrammarProcessor(tokenizer, [bound, "", bound])]
    made = model.generate(
        **prompts, max_new_tokens=60, do_sample=False, logits_processor=processors,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    first, free, last = tokenizer.batch_decode(made[:, prompts["input_ids"].shape[1] :], skip_special_tokens=True)
    assert re.fullmatch("SELECT (name|level) FROM players", first)
    assert re.fullmatch("SELECT (name|level) FROM players", last)
    assert not free.startswith("SELECT")


def test_a_grammar_that_can_not_be_read_says_so(reader) -> None:
    from scripts.constrained import matcher

    with pytest.raises(ValueError, match="can't be read"):
        matcher(reader, "start: missing_rule")


def test_rows_that_have_ended_leave_the_batch_and_the_others_answers_are_the_same(tmp_path) -> None:

    from scripts.constrained import GrammarProcessor
    from scripts.generate import answer_batch
    from scripts.recipe import load_recipe

    file = tmp_path / "greedy.yaml"
    file.write_text(f"extends: {SMOKE}\ngenerate: {{max_new_tokens: 45, candidates: 1, choose: null}}\n")
    recipe = load_recipe(file)
    tokenizer = byte_tokenizer()
    tokenizer.padding_side = "left"
    model = random_model(tokenizer, seed=2, layers=2, key_value_heads=1)
    long = "SELECT name FROM players WHERE level"
    grammars = [
        'start: "a" | "bc"',
        f'start: "{long}" (" >" | " <")',
        "",
        f'start: "{long}"',
        'start: "SELECT name" (" x" | " y")',
    ]
    prompts = ["short", "a much longer prompt", "free", "two words", "x"]
    seen = []
    model.register_forward_pre_hook(lambda _, args, given: seen.append(len(given["input_ids"])), with_kwargs=True)
    made = answer_batch(recipe, model, tokenizer, prompts, grammars)
    assert seen[0] == 5 and seen[-1] == 1 and sorted(seen, reverse=True) == seen and len(set(seen)) > 1
    encoded = tokenizer(prompts, return_tensors="pt", padding=True, return_token_type_ids=False)
    whole = model.generate(
        **encoded, max_new_tokens=45, do_sample=False, logits_processor=[GrammarProcessor(tokenizer, grammars)],
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    expected = tokenizer.batch_decode(whole[:, encoded["input_ids"].shape[1] :], skip_special_tokens=True)
    assert [answers[0][recipe.generate.column] for answers in made] == expected
    assert [answers[0]["finish_reason"] for answers in made] == ["stop", "stop", "length", "stop", "stop"]
    assert made[2][0]["answer_tokens"] == 45
    (both,) = {
        answers[0]["finish_reason"] for answers in answer_batch(recipe, model, tokenizer, ["a", "b"], grammars[:2])
    }
    assert both == "stop"


@pytest.mark.parametrize("candidates", [1, 2])
def test_a_model_that_keeps_a_state_instead_of_keys_and_values_answers_too(tmp_path, candidates: int) -> None:
    import torch
    from transformers import MambaConfig, MambaForCausalLM

    from scripts.generate import answer_batch
    from scripts.recipe import load_recipe

    choose = "'recipes.ko_text2sql.choosing:choose'" if candidates > 1 else "null"
    file = tmp_path / "state.yaml"
    file.write_text(f"extends: {SMOKE}\ngenerate: {{candidates: {candidates}, choose: {choose}, max_new_tokens: 20}}\n")
    tokenizer = byte_tokenizer()
    tokenizer.padding_side = "left"
    torch.manual_seed(0)
    shape = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "state_size": 4,
        "time_step_rank": 4,
        "vocab_size": len(tokenizer),
    }
    model = MambaForCausalLM(MambaConfig(**shape, eos_token_id=tokenizer.eos_token_id)).eval()
    grammars = ['start: "a" | "bc"', 'start: "SELECT name" (" x" | " y")']
    made = answer_batch(load_recipe(file), model, tokenizer, ["short", "a longer prompt"], grammars)
    assert [answer["finish_reason"] for answers in made for answer in answers] == ["stop"] * 2 * candidates
    column = load_recipe(file).generate.column
    assert made[0][0][column] in {"a", "bc"} and made[1][0][column] in {"SELECT name x", "SELECT name y"}


def test_every_candidate_of_a_search_keeps_to_its_own_rows_grammar(tmp_path) -> None:
    """Also where a grammar has fewer answers than there are beams, and prompts of other lengths are read once for all."""

    from scripts.generate import answer_batch
    from scripts.recipe import load_recipe

    file = tmp_path / "beams.yaml"
    choose = "recipes.ko_text2sql.choosing:choose"
    file.write_text(f"extends: {SMOKE}\ngenerate: {{candidates: 3, choose: '{choose}', max_new_tokens: 20}}\n")
    recipe = load_recipe(file)
    tokenizer = byte_tokenizer()
    tokenizer.padding_side = "left"
    model = random_model(tokenizer, seed=1, layers=2, key_value_heads=1)
    grammars = ['start: "a" ("b" | "c" | "d" | "ef")', 'start: "one" | "two"']
    prompts = ["short", "a much longer prompt"]
    made = answer_batch(recipe, model, tokenizer, prompts, grammars)
    column = recipe.generate.column
    assert sorted(answer[column] for answer in made[0]) == sorted({answer[column] for answer in made[0]})
    assert {answer[column] for answer in made[0]} <= {"ab", "ac", "ad", "aef"}
    assert made[1][0][column] in {"one", "two"}
    scores = [answer["score"] for answer in made[0]]
    assert scores == sorted(scores, reverse=True)
    # The same best answer as when each beam reads the prompt for itself, one prompt at a time.
    alone = [
        answer_batch(recipe, model, tokenizer, [prompt], [bound])[0][0]
        for prompt, bound in zip(prompts, grammars, strict=True)
    ]
    for batched, single in zip(made, alone, strict=True):
        assert batched[0][column] == single[column]
        assert batched[0]["score"] == pytest.approx(single["score"], abs=1e-4)
