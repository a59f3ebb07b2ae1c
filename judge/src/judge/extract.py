"""Find the SQL statement in what a model wrote."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LONGEST = 100_000  # characters of a reply that are looked at
_LONGEST_TRIED = 5_000  # characters of a doubtful statement that the parser is asked about
_TRIES = 5  # doubtful statements of one text that it is asked about: parsing is slow, and prose may name SELECT often
_ARTICLES = {"the", "an", "each", "every", "this", "these", "our", "your"}
_THINKING = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL | re.IGNORECASE)
_CHAT_MARK = re.compile(r"<\|[^|>\n]{1,40}\|>|</?s>|\[/?INST\]|<(?:start|end)_of_turn>|<eos>|<pad>")
_FENCE = re.compile(r"```[ \t]*([A-Za-z0-9_+-]*)[ \t]*\n?(.*?)(?:```|\Z)", re.DOTALL)
_SQL_TAGS = {"", "sql", "mysql", "mariadb", "sqlite", "sqlite3", "postgresql", "postgres", "tsql"}

# The words after the verb tell a statement from prose: "Select the best players", "With this query", "Set aside".
# Some of them are names of columns too, or SQL's own ALL: where no sign settles it, the parser does.
_PROSE = r"the|a|an|all|one|each|which|what|only|every|everything|any|from|statement|statements|query|queries|clause"
_STATEMENT = re.compile(
    rf"""(?<![\w.])(?:
      SELECT\b(?=\s*[^\s;,.:!?)])(?!\s+(?:{_PROSE})\s+(?!\s|[-.,(*+/|<>=#%&^]|!=|(?:FROM|AS)\b))
    | (?P<doubtful>SELECT\b(?=\s+(?:{_PROSE})\s))
    | WITH\s+(?:RECURSIVE\s+)?[`"\[]?[^\W\d][\w$]*[`"\]]?\s*(?:\([^()]*\)\s*)?AS\s*\(
    | VALUES\s*(?:ROW\s*)?\( | INSERT\s+(?:OR\s+\w+\s+|IGNORE\s+)?INTO\s | REPLACE\s+INTO\s | DELETE\s+FROM\s
    | UPDATE\s+\S+\s+SET\s | (?:CREATE|DROP|ALTER)\s+(?:OR\s+REPLACE\s+|TEMP\w*\s+|UNIQUE\s+|VIRTUAL\s+)?
      (?:TABLE|VIEW|INDEX|TRIGGER|DATABASE|SCHEMA|USER)\s
    | TRUNCATE\s+TABLE\s | PRAGMA\s+\w | ATTACH\s+(?:DATABASE\s+)?['"] | DETACH\s+DATABASE\s | VACUUM\b\s*(?:;|INTO|\Z)
    | EXPLAIN\s+(?:QUERY\s+PLAN\s+)?SELECT\s | SHOW\s+(?:TABLES|DATABASES|COLUMNS)\b | DESCRIBE\s+\w+\s*(?:;|\Z)
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_TOKEN = re.compile(
    r"""(?P<quote>'(?:[^'\\]|\\.|'')*(?:'|\Z)|"(?:[^"\\]|\\.|"")*(?:"|\Z)|`[^`]*(?:`|\Z))
      | (?P<comment>--[^\n]*|\#[^\n]*|/\*.*?(?:\*/|\Z))
      | (?P<end>;|```)
      | (?P<gap>\n[ \t]*\n\s*)
      | (?P<line>\n)
      | .""",
    re.VERBOSE | re.DOTALL,
)
# After an empty line SQL may still go on with a clause; anything else there is the model's own commentary.
_GOES_ON = re.compile(
    r"\(|\)|,|--|/\*|(?:SELECT|FROM|WHERE|GROUP|HAVING|ORDER|LIMIT|OFFSET|UNION|INTERSECT|EXCEPT|JOIN|INNER|LEFT|RIGHT|CROSS"
    r"|NATURAL|FULL|ON|USING|AND|OR|NOT|IN|AS|CASE|WHEN|THEN|ELSE|END|WINDOW)\b",
    re.IGNORECASE,
)
_PROSE_LINE = re.compile(
    r"[^\S\n]*(?:[가-힣][^\n]*(?:다|요|음|임)[.!]?[^\S\n]*(?:\n|\Z)"
    r"|(?:Explanation|Note|Output|Result|Question|Answer|Context|Input|설명|참고|결과|질문|답변?|출력)\s*[:：]"
    r"|\#{2,}\s|(?:This|The|Here)\s+(?:query|statement|SQL|above|code)\b)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Extracted:
    """`sql` without its semicolon, or None; `outcome` is 'sql' or 'no_sql'."""

    sql: str | None
    outcome: str


def extract_sql(text: str) -> Extracted:
    """The first SQL statement of a reply: fenced block first, else the first place that reads like a statement.

    It ends at the first `;` outside quotes and comments, at the closing fence, at a chat mark, or where prose begins.
    Only the look is judged, nothing is parsed: a broken statement is still 'sql', and so is a DROP; what it does
    is the measures' business. Two statements give the first (execution-spec.md, point 15).
    """
    text = _THINKING.sub("\n", (text or "")[:_LONGEST])
    for piece in _CHAT_MARK.split(text):
        for block in _blocks(piece):
            sql = _first_statement(block)
            if sql:
                return Extracted(sql, "sql")
    return Extracted(None, "no_sql")


def _blocks(text: str) -> list[str]:
    """Places to look in, best first: fenced SQL, then the whole text."""
    fenced = [m.group(2) for m in _FENCE.finditer(text) if m.group(1).lower() in _SQL_TAGS]
    # ```SELECT ...``` on one line: the "tag" is the statement's own first word.
    fenced += [m.group(1) + " " + m.group(2) for m in _FENCE.finditer(text) if m.group(1).lower() not in _SQL_TAGS]
    return [*fenced, text]


def _first_statement(text: str) -> str | None:
    tries = _TRIES
    for start in _STATEMENT.finditer(text):
        if start.group("doubtful"):
            tries -= 1
            sql = _cut(text, start.start()) if tries >= 0 else None
            if sql and _reads_as_query(sql):
                return sql
        else:
            return _cut(text, start.start())
    return None


def _cut(text: str, at: int) -> str | None:
    """The statement that begins at `at`, with the brackets before it that belong to it, to its end."""
    opened = len(text[:at]) - len(text[:at].rstrip("( \n\t"))
    if "(" in text[at - opened : at]:  # (SELECT ...) UNION (SELECT ...): the brackets belong to it
        at = text.index("(", at - opened)
    rest, before = text[at:], text[at - 1 : at]
    if before == "`" and rest.count("`") % 2 == 1:
        rest = rest[: rest.rindex("`")]  # inline code: `SELECT ...`
    elif before in "\"'“" and before:
        closing = {"“": "”"}.get(before, before)
        if rest.count(closing) % 2 == 1:
            rest = rest[: rest.rindex(closing)]
    end = len(rest)
    for token in _TOKEN.finditer(rest):
        kind, at = token.lastgroup, token.end()
        if kind == "end":
            end = token.start()
            break
        if (kind == "gap" and not _GOES_ON.match(rest, at)) or (
            kind in ("gap", "line") and _PROSE_LINE.match(rest, at)
        ):
            end = token.start()
            break
    return rest[:end].strip() or None


def _reads_as_query(sql: str) -> bool:
    """Is it one query with a FROM, and no sentence that happens to parse, such as "Select a player from the guild"?"""
    if len(sql) > _LONGEST_TRIED:
        return False
    # Only here, so that whoever extracts plain statements need not wait for the parser to load.
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        trees = sqlglot.parse(sql, read="mysql")
    except (SqlglotError, RecursionError, ValueError):
        return False
    select = trees[0].find(exp.Select) if len(trees) == 1 and trees[0] is not None else None
    if select is None or not select.args.get("from_") or not select.expressions:
        return False
    # "a player" reads as a column and its new name, "the guild" as a table and its; but few write sentences in capitals.
    first = select.expressions[0]
    renamed = isinstance(first, exp.Alias) and not re.search(rf"\bAS\s+\W?{re.escape(first.alias)}", sql, re.IGNORECASE)
    if renamed and not re.search(r"\bSELECT\b.*\bFROM\b", sql, re.DOTALL):
        return False
    return not any(table.alias and table.name.lower() in _ARTICLES for table in select.find_all(exp.Table))
