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
SHAPE = r"""
start: query
query: select (SET select)?
select: "SELECT " "DISTINCT "? items " FROM " source where? group? (" ORDER BY " orders)? (" LIMIT " COUNT)?
where: " WHERE " condition
group: " GROUP BY " value (", " value)* (" HAVING " condition)?
source: TABLE join* | TABLE (" AS " | " ") ALIAS (JOIN TABLE (" AS " | " ") ALIAS " ON " condition)* | "(" query ")" " AS " NAME
join: JOIN TABLE ((" AS " | " ") ALIAS)? " ON " condition
items: "*" | item (", " item)*
item: value (" AS " NAME)? | (ALIAS | TABLE) ".*"
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
aggregate: "COUNT(*)" | "COUNT(" "DISTINCT "? (COLUMN | case) ")" | AGGREGATE "(" "DISTINCT "? number ")"
text: TEXT_COLUMN | STRING | "(" query ")" | case | CHANGE "(" text ")" | "CONCAT(" value (", " value)+ ")" | EXTREME "(" text ")"
    | "SUBSTRING(" text ", " NUMBER (", " NUMBER)? ")" | "COALESCE(" text ", " text ")" | "DATE_FORMAT(" time ", '" FORMAT "')"
time: TIME_COLUMN | "'" (DATE | TIME) "'" | "(" query ")" | EXTREME "(" time ")" window? | "DATE(" time ")"
    | DATE_MATH "(" time ", INTERVAL " NUMBER " " UNIT ")" | SHIFT "(" time (", " NUMBER)? ")" window
window: " OVER (" ("PARTITION BY " value (", " value)*)? " "? ("ORDER BY " orders)? ")"
case: "CASE" (" WHEN " condition " THEN " value)+ (" ELSE " value)? " END"
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
DATE: /[0-9]{4}-[0-9]{2}(-[0-9]{2}( [0-9]{2}:[0-9]{2}(:[0-9]{2})?)?)?/
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
    columns = [(table, column) for table, own, _ in tables for column in own]

    def written(kind: str = "") -> str:
        """The columns of a kind, bare and with their tables; those of no known kind are of each."""
        fitting = [pair for pair in columns if not kind or kinds.get(pair, kind) == kind]
        pairs = [(names.get(table, table), names.get(column, column)) for table, column in fitting]
        bare = [column for _, column in pairs]
        own = f' | ALIAS "." ({_one_of(bare)})' if bare else ""
        return _one_of([*bare, *(f"{table}.{column}" for table, column in pairs)]) + own if bare else '"*"'

    parts = {
        "numbers": _one_of([*numbers, "0", "1", "100", "100.0", "1.0"]),
        "counts": _one_of([*(number for number in numbers if number.isdigit() and len(number) < 4), "1"]),
        "tables": _one_of([names.get(name, name) for name, _, _ in tables]),
        "columns": written(),
        **{f"{kind}_columns": written(kind) for kind in ("number", "text", "time")},
        "said": json.dumps(said, ensure_ascii=False),
    }
    return re.sub(r"<(\w+)>", lambda place: parts[place[1]], SHAPE)


def _one_of(words: list[str]) -> str:
    return " | ".join(json.dumps(word, ensure_ascii=False) for word in sorted(set(words)))
