"""Disguised training rows: other names, the same question and query."""

from __future__ import annotations

import re
from random import Random

import pytest
import sqlglot
from sqlglot import exp

from recipes.ko_text2sql.disguise import TAKEN, disguise, pool, renamed
from recipes.ko_text2sql.prompt import prepare
from recipes.ko_text2sql.queries import own_names
from recipes.ko_text2sql.rows import make

DDL = (
    "CREATE TABLE guilds (guild_id INT PRIMARY KEY, guild_name TEXT, founded_on DATE);\n"
    "CREATE TABLE players (player_id INT PRIMARY KEY, nickname TEXT, is_banned BOOLEAN, guild_id INT, "
    "FOREIGN KEY (guild_id) REFERENCES guilds(guild_id));"
)


@pytest.mark.parametrize("seed", range(20))
def test_new_names_keep_what_the_old_ones_say_of_a_columns_kind(seed: int) -> None:
    names = disguise(DDL, Random(f"seed:{seed}"))
    assert set(names) == set(
        re.findall(r"\w+", "guilds players guild_id guild_name founded_on player_id nickname is_banned")
    )
    assert len(set(names.values())) == len(names)
    stem = names["guild_id"].removesuffix("_id")
    assert names["guilds"] in (stem, stem + "s")
    assert names["founded_on"].endswith("_on") and names["is_banned"].startswith("is_")
    assert not {name for name in names.values() if name in TAKEN}


def test_every_name_of_a_disguised_query_stands_in_its_prompt() -> None:
    rows = make(seed=3, train_rows=400, answerable_only=True, disguise_share=1.0)["train"]
    disguised = [row for row in rows if row["names"]]
    assert len(disguised) > 350
    for row in disguised:
        shown = prepare(row)
        words = set(re.findall(r"\w+", shown["context"]))
        query = sqlglot.parse_one(shown["answer"], read="mysql")
        used = {table.name for table in query.find_all(exp.Table)} | {c.name for c in query.find_all(exp.Column)}
        assert used - own_names(query) - {"", "*"} <= words, row["id"]
        assert not words & set(row["names"]) - set(row["names"].values()), row["id"]


def test_the_row_itself_keeps_its_own_names_so_that_its_query_still_runs() -> None:
    plain = make(seed=3, train_rows=50)["train"]
    disguised = make(seed=3, train_rows=50, disguise_share=1.0)["train"]
    assert [{k: v for k, v in row.items() if k != "names"} for row in disguised] == plain


def test_test_rows_are_never_disguised() -> None:
    assert not any("names" in row for row in make(seed=3, train_rows=10, disguise_share=1.0)["test"])


def test_renaming_is_by_whole_words_and_in_one_pass() -> None:
    assert renamed("a ab a_b '가a'", {"a": "b", "b": "c"}) == "b ab a_b '가b'"


def test_the_pool_is_large_and_the_same_every_time() -> None:
    assert len(pool()) > 1000 and list(pool()) == sorted(set(pool()))
