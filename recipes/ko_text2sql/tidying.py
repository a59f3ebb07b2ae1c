"""One wording for one notion in a gloss line, and nothing that a query has no use for."""

from __future__ import annotations

import re

from .identifiers import Schema, is_number

THAN = {"high": ">", "low": "<", "late": "after", "early": "before"}
AGGREGATED = frozenset(["SUM", "AVG", "MAX", "MIN"])


def tidy(words: list[str], schema: Schema) -> list[str]:
    """One wording for one notion, and nothing that a query has no use for."""
    columns = {name for name, *_ in schema.columns}
    tables = {name for name, _ in schema.tables}
    out: list[str] = []
    for at, word in enumerate(words):
        before, last = ["", "", *out][-2:]
        near = out[-3:]
        if word == last or _useless(word, out, words[at + 1 : at + 4], columns, tables):
            continue
        if word in AGGREGATED and last in columns and before not in AGGREGATED and is_number(last):
            out[-1:] = [word, last]  # price AVG: AVG price
        elif word.startswith("most COUNT") and last in columns and is_number(last):
            out.append(word.replace("COUNT ", ""))  # 잔액이 가장 많은
        elif word == "distinct COUNT":  # 브랜드가 몇 종류나; 몇 종류의 상품
            out += ["distinct", "COUNT"] if last in columns else ["COUNT"]
        elif word in ("which", "who", "where"):
            out.append("which" if word != "where" or set(words) & tables else "where")
        elif word in ("no null", "not") and "never" in out[-5:]:
            out.remove("never")  # 한 번도 ... 않은: said once, where the negation stands
            out.append("never")
        elif word == "never" and (last in ("no null", "not") or "never" in out[-4:]):
            out.remove("never" if "never" in out[-4:] else last)
            out.append("never")
        elif word in ("to", "between") and "from" in out[-5:]:
            out.remove("from")  # 100부터 200까지, 1990년부터 1999년 사이
            out.append("between")
        elif word == "order" and {*THAN} & set(near) and not {"most", "than"} & set(out[-4:]):
            down = {"high", "late"} & set(near)  # 두꺼운 순으로, 많은 팀부터
            out = [
                *out[:-3],
                *(near_word for near_word in near if near_word not in THAN),
                "order DESC" if down else "order",
            ]
        elif word in THAN and "than" in out[-4:] and "most" not in (before, last):
            out[len(out) - 1 - out[::-1].index("than")] = THAN[word]
        else:
            out.append(word)
    return out


def in_years(words: list[str], schema: Schema, used: set[str]) -> list[str]:
    """`year 2020` as `founded_year 2020` where the tables that the question speaks of keep years in a column and no dates."""
    own = [(name, notions) for name, notions, table, _ in schema.columns if table in used]
    years = {name for name, notions in own if "year" in notions}
    years = years & {*words} or years
    if len(years) != 1 or any("date" in notions for _, notions in own):
        return words
    column = min(years)
    if not any(re.fullmatch(r"year \d{4}", word) for word in words):
        return words
    out: list[str] = []
    for word in words:
        year = re.fullmatch(r"year (\d{4})", word)
        if year:
            out += [year[1]] if column in out[-3:] else [column, year[1]]
        elif word != column or column not in out[-5:]:  # 2000년 이후 설립된: once is enough
            out.append(word)
    return out


def _useless(word: str, out: list[str], rest: list[str], columns: set[str], tables: set[str]) -> bool:
    """Whether a word adds nothing to the words before it, given the few after it."""
    before, last = ["", "", *out][-2:]
    valued = columns | AGGREGATED | {"COUNT"}
    if word == "SUM":  # 총 회원 수
        summed = bool(columns & {*rest[:1]}) and is_number(rest[0])  # 건수랑 총액: both
        return (
            (last == "COUNT" and not summed)
            or rest[:1] == ["COUNT"]
            or (bool(tables & {*rest[:1]}) and rest[1:2] == ["COUNT"])
        )
    if word == "COUNT":  # 합치면 몇 명
        return last in AGGREGATED or (last in columns and before in AGGREGATED)
    if word in AGGREGATED and word == before and last in columns:  # 최대 가격 (max)
        return True
    if word == "how much":
        return bool(set(out) & valued)
    if word in ("which", "who", "where"):
        return last in valued | {"which"} or bool(columns & {*rest[:1]})
    if word == "exists":
        return last in ("ever", "never") or last not in tables | columns or (before in columns and last not in tables)
    if word == "all":
        return last in columns or bool(set(rest) & valued) or "all" in out
    if word == "order":
        return bool(set(out[-2:]) & {"order", "order DESC"})
    return word in ("<=", "from", "to") and before == "top"  # 3위까지
