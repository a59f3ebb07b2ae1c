"""Of a model's candidates the one that leaves least of the gloss unsaid is taken."""

from __future__ import annotations

import pytest

from recipes.ko_text2sql.choosing import choose, faults

SCHEMA = """
CREATE TABLE stores (store_id INT PRIMARY KEY, name TEXT, city TEXT);
CREATE TABLE sales (sale_id INT PRIMARY KEY, channel TEXT, amount INT, sold_on DATE, store_id INT,
  FOREIGN KEY (store_id) REFERENCES stores(store_id));
"""


@pytest.mark.parametrize(
    ("gloss", "better", "worse"),
    [
        ("amount 500 > channel 앱 sales COUNT", "SELECT COUNT(*) FROM sales WHERE channel = '앱' AND amount > 500",
         "SELECT COUNT(*) FROM sales WHERE amount > 500"),  # a condition left out
        ("sales channel amount", "SELECT channel, amount FROM sales", "SELECT channel FROM sales"),  # a column left out
        ("sales channel", "SELECT channel FROM sales", "SELECT channel, amount FROM sales"),  # one added
        ("AVG amount > sales channel", "SELECT channel FROM sales WHERE amount > (SELECT AVG(amount) FROM sales)",
         "SELECT channel FROM sales ORDER BY amount DESC"),
        ("channel per sales COUNT", "SELECT channel, COUNT(*) FROM sales GROUP BY channel", "SELECT channel, COUNT(*) FROM sales"),
        ("sales never stores", "SELECT name FROM stores WHERE store_id NOT IN (SELECT store_id FROM sales)",
         "SELECT name FROM stores WHERE sales.amount > 0"),
        ("sales channel", "SELECT channel FROM sales", "SELECT channel FROM ("),  # no SQL at all
    ],
)  # fmt: skip
def test_what_is_left_out_or_added_weighs(gloss: str, better: str, worse: str) -> None:
    assert faults(better, gloss.split(), SCHEMA) < faults(worse, gloss.split(), SCHEMA)


def test_a_likelier_answer_wins_where_both_say_all_of_it() -> None:
    row = {"context": SCHEMA, "question": "매출 금액"}
    same = "SELECT amount FROM sales"
    assert choose(row, [(same, -0.1), (same, -0.2)]) == 0
    assert choose(row, [("", -9.0)]) == 0
