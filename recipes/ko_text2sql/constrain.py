"""What an answer to a row may look like: a grammar for constrained decoding, made from the row's own schema and words.

    grammar({"context": ddl, "question": "레벨 30 이상인 플레이어"})     # Lark, as llguidance reads it

A query in shorthand or in full, with the row's tables and columns as the only names, and constants that the question
says: so a small model spends its choices on what to ask for and not on spelling. The order of clauses is fixed; whether
the query means what was asked is the model's affair.
"""

from __future__ import annotations

import json
import re

from recipes.ko_text2sql.linking import hint
from recipes.ko_text2sql.schema_text import column_kinds, parse_tables

# Names in angle brackets are filled in for each row. Words are written with the one space that the rows have there.
# A query is of one of three kinds: it shows each row, one total over all rows, or groups; only the last may show a column
# beside an aggregate. What a row alone must tell (WHERE, ON, GROUP BY, an aggregate's argument) is made of row_ rules.
SHAPE = r"""
start: query
query: select (SET select)?
select: "SELECT " (each | total | grouped)
each: "DISTINCT "? row_items " FROM " source where? (" ORDER BY " row_orders)? (" LIMIT " COUNT)?
total: sum (", " sum)* " FROM " source where?
grouped: "DISTINCT "? items " FROM " source where? group (" ORDER BY " orders)? (" LIMIT " COUNT)?
where: " WHERE " row_condition
group: " GROUP BY " key (", " key)* (" HAVING " condition)?
key: COLUMN | row_case | PART "(" TIME_COLUMN ")" | "DATE(" TIME_COLUMN ")" | "DATE_FORMAT(" TIME_COLUMN ", '" FORMAT "')"
    | "SUBSTRING(" TEXT_COLUMN ", " NUMBER (", " NUMBER)? ")"
source: TABLE join* | TABLE (" AS " | " ") ALIAS (JOIN TABLE (" AS " | " ") ALIAS " ON " row_condition)* | "(" query ")" " AS " NAME
join: JOIN TABLE ((" AS " | " ") ALIAS)? " ON " row_condition
items: "*" | item (", " item)*
item: value (" AS " NAME)? | (ALIAS | TABLE) ".*"
sum: all_rows (CALCULATE one_number)* (" AS " NAME)? | one_number (CALCULATE one_number)+ (" AS " NAME)?
all_rows: aggregate | EXTREME "(" (row_text | row_time) ")" | "(" number ")" | "(" query ")" | "DATEDIFF(" time ", " time ")"
    | "ROUND(" number (", " NUMBER)? ")" | "ABS(" number ")" | "COALESCE(" number ", " number ")" | "CAST(" value " AS " TYPE ")" | "NULLIF(" number ", " number ")"
    | case
orders: order (", " order)*
order: value " DESC"?
condition: test ((" AND " | " OR ") test)*
test: "(" condition ")" | "NOT "? "EXISTS (" query ")"
    | number COMPARE number | number " NOT"? " BETWEEN " number " AND " number | number " NOT"? " IN (" number (", " number)* ")"
    | text EQUAL text | text " NOT"? " LIKE " PATTERN | text " NOT"? " IN (" text (", " text)* ")"
    | time COMPARE time | time " NOT"? " BETWEEN " time " AND " time
    | COLUMN NULL | COLUMN " NOT"? " IN (" query ")"
value: number | text | time | COLUMN | "NULL"
number: one_number (CALCULATE one_number)*
one_number: NUMBER_COLUMN | NUMBER | "-" NUMBER | "(" number ")" | "(" query ")" | case | aggregate window? | RANK "()" window
    | PART "(" time ")" | "DATEDIFF(" time ", " time ")" | "ROUND(" number (", " NUMBER)? ")" | "ABS(" number ")"
    | LENGTH "(" text ")" | "COALESCE(" number ", " number ")" | "NULLIF(" number ", " number ")" | "CAST(" value " AS " TYPE ")"
text: TEXT_COLUMN | STRING | "(" query ")" | case | CHANGE "(" text ")" | "CONCAT(" value (", " value)+ ")" | EXTREME "(" row_text ")" window?
    | "SUBSTRING(" text ", " NUMBER (", " NUMBER)? ")" | "COALESCE(" text ", " text ")" | "DATE_FORMAT(" time ", '" FORMAT "')"
time: TIME_COLUMN | "'" (DATE | TIME) "'" | "(" query ")" | EXTREME "(" row_time ")" window? | "DATE(" time ")"
    | DATE_MATH "(" time ", INTERVAL " NUMBER " " UNIT ")" | SHIFT "(" time (", " NUMBER)? ")" window
window: " OVER (" ("PARTITION BY " value (", " value)*)? " "? ("ORDER BY " orders)? ")"
case: "CASE" (" WHEN " condition " THEN " value)+ (" ELSE " value)? " END"
<row_rules>
aggregate: "COUNT(*)" | "COUNT(" "DISTINCT "? (COLUMN | row_case) ")" | AGGREGATE "(" "DISTINCT "? row_number ")"
SET: / (UNION( ALL)?|EXCEPT|INTERSECT) /
JOIN: / ((LEFT|INNER|CROSS) )?JOIN /
NULL: / IS (NOT )?NULL/
COMPARE: / (=|<>|!=|<=?|>=?) /
EQUAL: / (=|<>|!=) /
CALCULATE: / [-+*\/%] /
AGGREGATE: /SUM|AVG|MIN|MAX/
EXTREME: /MIN|MAX/
RANK: /RANK|DENSE_RANK|ROW_NUMBER/
SHIFT: /LAG|LEAD/
PART: /YEAR|MONTH|DAY|HOUR|QUARTER|DAYOFWEEK|WEEKDAY/
LENGTH: /LENGTH|CHAR_LENGTH/
CHANGE: /UPPER|LOWER|TRIM/
DATE_MATH: /DATE_(ADD|SUB)/
UNIT: /DAY|WEEK|MONTH|YEAR|HOUR|MINUTE/
TYPE: /SIGNED|CHAR|DATE|FLOAT|DECIMAL(\([0-9]+, [0-9]+\))?/
FORMAT: /%[YymdHi](-%[mdHi]){0,2}/
ALIAS: /[TtEe][1-4]|[ab]/
NAME: /[a-z][a-z0-9_]{0,20}/
DATE: /(<years>)-(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01])( [0-9]{2}:[0-9]{2}(:[0-9]{2})?)?)?/
TIME: /[0-9]{2}:[0-9]{2}(:[0-9]{2})?/
STRING: "'" SAID "'"
PATTERN: "'" "%"? (SAID | DATE) "%"? "'"
NUMBER: <numbers>
COUNT: <counts>
TABLE: <tables>
COLUMN: <columns>
NUMBER_COLUMN: <number_columns>
TEXT_COLUMN: <text_columns>
TIME_COLUMN: <time_columns>
SAID: %regex {"substring_chars": <said>}
"""

BY_ROW = [
    "items",
    "item",
    "orders",
    "order",
    "condition",
    "test",
    "value",
    "number",
    "one_number",
    "text",
    "time",
    "window",
    "case",
]


def _row_rules() -> str:
    """The rules BY_ROW once more, as row_…, where an aggregate needs a window: it would speak of more than its row."""
    rules = re.findall(rf"^(?:{'|'.join(BY_ROW)}): .*(?:\n +\|.*)*", SHAPE, re.MULTILINE)
    names = re.compile(rf"(\"[^\"]*\")|\b({'|'.join(BY_ROW)})\b")
    by_row = names.sub(lambda found: found[1] or f"row_{found[2]}", "\n".join(rules))
    return by_row.replace(" row_window?", " row_window")


def grammar(row: dict) -> str:
    """The grammar of the answers to `row`, as Lark text for llguidance; "" where its context is no schema.

    Numbers go with columns of numbers, texts with texts and dates with dates, as far as the DDL declares their types.
    """
    tables = parse_tables(row["context"])
    if not tables:
        return ""
    kinds = column_kinds(row["context"])
    names = row.get("names") or {}
    said = re.sub(r"['\\\s]+", " ", f"{hint(row['question'], row['context'])} | {row['question']}")
    numbers = sorted(set(re.findall(r"\d+(?:\.\d+)?", said.replace(",", ""))))
    years = [number for number in numbers if re.fullmatch("(19|20)[0-9]{2}", number)]
    columns = [(table, column) for table, own, _ in tables for column in own]

    def written(kind: str = "") -> str:
        """The columns of a kind, bare and with their tables; those of no known kind are of each."""
        fitting = [pair for pair in columns if not kind or kinds.get(pair, kind) == kind]
        pairs = [(names.get(table, table), names.get(column, column)) for table, column in fitting]
        bare = [column for _, column in pairs]
        own = f' | ALIAS "." ({_one_of(bare)})' if bare else ""
        return _one_of([*bare, *(f"{table}.{column}" for table, column in pairs)]) + own if bare else '"*"'

    parts = {
        "row_rules": _row_rules(),
        "numbers": _one_of([*numbers, "0", "1", "100", "100.0", "1.0"]),
        "counts": _one_of([*(number for number in numbers if number.isdigit() and len(number) < 4), "1"]),
        # A period that is said by its year may end with the next one's first day.
        "years": "|".join(sorted({str(int(year) + more) for year in years for more in (0, 1)})) or "(19|20)[0-9]{2}",
        "tables": _one_of([names.get(name, name) for name, _, _ in tables]),
        "columns": written(),
        **{f"{kind}_columns": written(kind) for kind in ("number", "text", "time")},
        "said": json.dumps(said, ensure_ascii=False),
    }
    return re.sub(r"<(\w+)>", lambda place: parts[place[1]], SHAPE)


def _one_of(words: list[str]) -> str:
    return " | ".join(json.dumps(word, ensure_ascii=False) for word in sorted(set(words)))
