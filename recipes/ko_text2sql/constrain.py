"""What an answer to a row may look like: a grammar for constrained decoding, made from the row's own schema and words.

    grammar({"context": ddl, "question": "레벨 30 이상인 플레이어"})     # Lark, as llguidance reads it

A query in shorthand or in full, with the row's tables and columns as the only names, and constants that the question
says: so a small model spends its choices on what to ask for and not on spelling. The order of clauses is fixed; whether
the query means what was asked is the model's affair.
"""

from __future__ import annotations

import json
import re

from recipes.ko_text2sql.focus import GRAMMAR
from recipes.ko_text2sql.linking import hint
from recipes.ko_text2sql.schema_text import column_kinds, parse_tables

# Columns that say yes or no; with these alone a query may compare constants that no question says.
FLAG = re.compile(r"(is|has)_")
LONGEST_SAYING = 4  # words
LONGEST_ENDING = 8  # letters
MOST_NUMBERS = 12  # of which each pair may be a range's two ends: longer questions only pay for the grammar's size
# Names in angle brackets are filled in for each row. Words are written with the one space that the rows have there.
SHAPE = r"""
start: query
query: select (SET select)?
select: "SELECT " "DISTINCT "? items " FROM " source (" WHERE " condition)? group? (" ORDER BY " orders)? (" LIMIT " COUNT)?
inner: "SELECT " "DISTINCT "? items " FROM " source (" WHERE " linked)? group? (" ORDER BY " orders)? (" LIMIT " COUNT)?
group: " GROUP BY " class (", " class)* (" HAVING " group_condition)?
class: COLUMN | part | case | GROUP
source: TABLE join* | TABLE (" AS " | " ") ALIAS (JOIN TABLE (" AS " | " ") ALIAS " ON " linked)* | "(" query ")" " AS " NAME
join: JOIN TABLE ((" AS " | " ") ALIAS)? " ON " linked
linked: KEY_COLUMN " = " KEY_COLUMN (" AND " condition)? | condition
items: "*" | item (", " item)*
item: (value | CONSTANT) (" AS " NAME)? | (ALIAS | TABLE) ".*"
orders: order (", " order)*
order: value " DESC"?
condition: test ((" AND " | " OR ") test)*
test: plain | "NOT "? "EXISTS (" (inner | rows) ")"
rows: "SELECT " TABLE (" WHERE " plain ((" AND " | " OR ") plain)*)? (" HAVING " group_condition)?
group_condition: group_test ((" AND " | " OR ") group_test)*
group_test: number COMPARE (number | CONSTANT) | number " NOT"? " BETWEEN " range | plain
plain: "(" condition ")" | TABLE NULL
    | scalar COMPARE other | scalar COMPARE "(" inner ")" | "(" inner ")" COMPARE (other | CONSTANT)<flags> | scalar " NOT"? " BETWEEN " range | scalar " NOT"? " IN (" NUMBER (", " NUMBER)* ")"
    | text EQUAL other_text | text " NOT"? " LIKE " PATTERN | text " NOT"? " IN (" STRING (", " STRING)* ")"
    | time COMPARE time | time " NOT"? " BETWEEN " time " AND " time
    | COLUMN NULL | COLUMN " NOT"? " IN (" inner ")"
range: <ranges>
part: PART "(" (TIME_COLUMN | EXTREME "(" TIME_COLUMN ")") ")"
value: number | text | time | COLUMN | "NULL"
number: one_number (CALCULATE one_number)*
one_number: one_scalar | "(" number ")" | aggregate (window | " * " SCALE " / " one_number)? | SCALE " * " aggregate " / " one_number | RANK "()" window
    | "ROUND(" number (", " some)? ")" | "COALESCE(" number ", " (number | CONSTANT) ")" | "NULLIF(" number ", " (number | CONSTANT) ")"
scalar: one_scalar (CALCULATE one_scalar)*
one_scalar: NUMBER_COLUMN | NUMBER | "-" NUMBER | "(" scalar ")" | "(" inner ")" | case | part | function
other: one_other (CALCULATE one_other)*
one_other: MEASURE_COLUMN | NUMBER | "-" NUMBER | "(" other ")" | "(" inner ")" | case | part | function
function: "DATEDIFF(" time ", " time ")" | "ROUND(" scalar (", " some)? ")" | "ABS(" scalar ")" | LENGTH "(" text ")"
    | "COALESCE(" scalar ", " (scalar | CONSTANT) ")" | "NULLIF(" scalar ", " (scalar | CONSTANT) ")" | "CAST(" value " AS " TYPE ")"
some: NUMBER | CONSTANT
aggregate: "COUNT(*)" | "COUNT(" TABLE ")" | "COUNT(" "DISTINCT "? (COLUMN | case) ")" | TOTAL "(" "DISTINCT "? (other | CONSTANT) ")" | EXTREME "(" scalar ")"
text: TEXT_COLUMN | text_function
text_function: STRING | "(" inner ")" | case | CHANGE "(" text ")" | "CONCAT(" value (", " value)+ ")" | EXTREME "(" text ")"
    | "SUBSTRING(" text ", " some (", " some)? ")" | "COALESCE(" text ", " text ")" | "DATE_FORMAT(" time ", '" FORMAT "')"
other_text: text_function | ALIAS "." NAME | OTHER_TEXT
time: TIME_COLUMN<times> | "(" inner ")" | EXTREME "(" time ")" window? | "DATE(" TIME_COLUMN ")"
    | DATE_MATH "(" time ", INTERVAL " some " " UNIT ")" | SHIFT "(" time (", " some)? ")" window
window: " OVER (" ("PARTITION BY " value (", " value)*)? " "? ("ORDER BY " orders)? ")"
case: "CASE" (" WHEN " condition " THEN " (value | CONSTANT))+ (" ELSE " (value | CONSTANT))? " END"
SET: / (UNION( ALL)?|EXCEPT|INTERSECT) /
JOIN: / ((LEFT|INNER|CROSS) )?JOIN /
NULL: / IS (NOT )?NULL/
COMPARE: / (=|<>|!=|<=?|>=?) /
EQUAL: / (=|<>|!=) /
CALCULATE: / [-+*\/%] /
TOTAL: /SUM|AVG/
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
GROUP: /[a-z]{1,12}_group/
DATE: /(<years>)-[0-9]{2}(-[0-9]{2}( [0-9]{2}:[0-9]{2}(:[0-9]{2})?)?)?/
TIME: /[0-9]{2}:[0-9]{2}(:[0-9]{2})?/
STRING: "'" SAID "'"
PATTERN: "'" "%"? (SAID | DATE | <beginnings>) "%"? "'"
NUMBER: <numbers>
CONSTANT: "0" | "1"
SCALE: "100" | "100.0" | "1.0"
COUNT: <counts>
TABLE: <tables>
COLUMN: <columns>
NUMBER_COLUMN: <number_columns>
MEASURE_COLUMN: <measures>
KEY_COLUMN: <keys>
TEXT_COLUMN: <text_columns>
TIME_COLUMN: <time_columns>
OTHER_TEXT: <other_texts>
SAID: <said>
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
    gloss = hint(row["question"], row["context"])
    said = re.sub(r"['\"\\\s]+", " ", f"{gloss} | {row['question']}")
    numbers = set(re.findall(r"\d+(?:\.\d+)?", said.replace(",", "")))
    # Before and after a year are also said by the days next to it.
    years = {int(number) + more for number in numbers if re.fullmatch(r"(19|20)\d\d", number) for more in (-1, 0, 1)}
    columns = [(table, column) for table, own, _ in tables for column in own]

    def written(kind: str = "") -> str:
        """The columns of a kind, bare and with their tables; those of no known kind are of each."""
        alike = (kind, "flag") if kind == "number" else (kind,)
        return spelled([pair for pair in columns if not kind or kinds.get(pair, kind) in alike]) or '"*"'

    def spelled(fitting: list[tuple[str, str]]) -> str:
        pairs = [(names.get(table, table), names.get(column, column)) for table, column in fitting]
        bare = [column for _, column in pairs]
        own = f' | ALIAS "." ({_one_of(bare)})' if bare else ""
        return _one_of([*bare, *(f"{table}.{column}" for table, column in pairs)]) + own if bare else ""

    keys = {(table, column) for table, _, links in tables for column in dict(links)}
    keys |= {pair for pair in columns if re.search(r"(^|_)id$", pair[1])}
    measures = [pair for pair in columns if pair not in keys and kinds.get(pair, "number") in ("number", "flag")]
    few = numbers if len(numbers) <= MOST_NUMBERS else ()
    between = [(low, high) for low in few for high in few if float(low) < float(high)]
    flags = spelled([pair for pair in columns if kinds.get(pair) == "flag" or FLAG.match(pair[1])])
    texts = [pair for pair in columns if kinds.get(pair, "text") == "text"]
    parts = {
        "beginnings": _one_of(re.findall(r"(?<!\w)\w", said)),
        "numbers": _one_of([*numbers, "0"]),
        "counts": _one_of([*(number for number in numbers if number.isdigit() and len(number) < 4), "1"]),
        "flags": f" | ({flags}) EQUAL CONSTANT" if flags else "",
        "times": ' | "\'" (DATE | TIME) "\'"' if numbers else "",
        "years": "|".join(map(str, sorted(years))) or "[0-9]{4}",
        "keys": spelled([pair for pair in columns if pair in keys]) or '"*"',
        "other_texts": _one_of([f"{names.get(table, table)}.{names.get(column, column)}" for table, column in texts])
        or '"*"',
        "measures": spelled(measures) or '"*"',
        "ranges": " | ".join(f'"{low} AND {high}"' for low, high in sorted(between)) or 'number " AND " number',
        "tables": _one_of([names.get(name, name) for name, _, _ in tables]),
        "columns": written(),
        **{f"{kind}_columns": written(kind) for kind in ("number", "text", "time")},
        "said": _one_of(sayings(gloss, row["question"], {*GRAMMAR, *(word for pair in columns for word in pair)})),
    }
    return re.sub(r"<(\w+)>", lambda place: parts[place[1]], SHAPE)


def sayings(gloss: str, question: str, taken: set[str]) -> list[str]:
    """The texts that a query may compare with: words of the gloss and the question, and up to four in a row.

    Of the gloss those that are no name and no word of its own grammar (`taken`); of the question also without their
    endings, which in Korean are particles. Pieces from within a word are no values.
    """
    found = {" "}
    for text, endings in ((gloss, False), (question, True)):
        words = [re.sub(r"^[^\w%#@+-]+", "", word) for word in re.split(r"['\"\\\s]+", text)]
        for first in range(len(words)):
            for last in range(first, min(first + LONGEST_SAYING, len(words))):
                run = words[first : last + 1]
                if not all(run) or (not endings and any(word in taken for word in run)):
                    break
                before = " ".join([*run[:-1], ""])
                shortest = max(min(2, max(len(run[-1]) - 1, 1)), len(run[-1]) - LONGEST_ENDING)
                found.update(
                    before + run[-1][:length]
                    for length in range(shortest if endings else len(run[-1]), len(run[-1]) + 1)
                )
    return sorted(found)


def _one_of(words: list[str]) -> str:
    return " | ".join(json.dumps(word, ensure_ascii=False) for word in sorted(set(words)))
