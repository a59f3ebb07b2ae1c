"""Do a question and its query speak of the same values? By rule, without knowing the schema's meaning.

    disagreements("서른 살 넘는 회원", sqlglot.parse_one("SELECT name FROM members WHERE age > 40", read="mysql"))
    # ["40 is not said", "30 is said and not used"]

Korean numerals and dates are read by `words.cut`, so the rule knows what the prompt's gloss knows; English number words
are read here. What a question says without naming it (the first, a yes-no column, the end of a month) is let through,
so a wrong 0 for 1 shows only where a negation gives it away.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass, field

from sqlglot import exp

from recipes.ko_text2sql.queries import own_names
from recipes.ko_text2sql.words import cut

NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
DATE = re.compile(r"(\d{4})-(\d{1,2})(?:-(\d{1,2}))?(?:[ T](\d{1,2}):(\d{2})(?::(\d{2}))?)?")
CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::\d{2})?")
# What a unit makes of a number: 30% may be 0.3, two hours 120 minutes.
UNITS = [
    (re.compile(r"%|퍼센트|프로|percent", re.I), (0.01,)),
    (re.compile(r"할"), (0.1,)),
    (re.compile(r"시간|hour", re.I), (60, 3600)),
    (re.compile(r"분|minute", re.I), (60, 1 / 60)),
    (re.compile(r"주|week", re.I), (7,)),
    (re.compile(r"달|개월|month", re.I), (30,)),
    (re.compile(r"년|해|year", re.I), (12, 365)),
    (re.compile(r"kg|킬로|톤|ton|km", re.I), (1000,)),
    (re.compile(r"\dk\b", re.I), (1000,)),
]
_AFTERNOON = re.compile(r"오후|저녁|밤|pm|p\.m", re.I)
PHRASES = {
    "절반": 0.5, "반": 0.5, "하루": 1, "이틀": 2, "사흘": 3, "나흘": 4, "닷새": 5, "엿새": 6, "이레": 7, "여드레": 8,
    "아흐레": 9, "열흘": 10, "보름": 15, "일주일": 7, "한주": 7, "한달": 30, "반년": 6, "분기": 3, "일년": 12, "둘": 2,
    "셋": 3, "넷": 4, "다섯": 5, "여섯": 6, "일곱": 7, "여덟": 8, "아홉": 9, "열": 10, "두번": 2, "세번": 3, "더블": 2,
    "half": 0.5, "double": 2, "twice": 2, "dozen": 12,
}  # fmt: skip
_SMALL = (
    "zero", "one first", "two second both couple", "three third", "four fourth", "five fifth", "six sixth",
    "seven seventh", "eight eighth", "nine ninth", "ten tenth", "eleven", "twelve", "thirteen", "fourteen", "fifteen",
    "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
)  # fmt: skip
ENGLISH = {word: number for number, words in enumerate(_SMALL) for word in words.split()}
ENGLISH |= {"thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
UNITS_ALONE = {"백": 100, "천": 1000, "만": 10**4, "억": 10**8}
SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
# Words by which a question says that something is not so; a lone 미 or 비 only before what it denies.
_PREFIXED = (
    r"미(?:완|확|인증|지급|납|해결|결제|참|개봉|발|배송|수령|응답|반|승인|처리|접|등|가입|지정|사용|출|이수|입|공개|포함|제출)|"
    r"비(?:공개|활성|회원|정기|상장|건|포함|밀|정규|흡연)|무(?:료|상|급|소속|보험)|불(?:가|포함|참|합격|량)"
)
PLAIN_NEGATION = re.compile(
    r"안 |(?<![가-힣])안[된한하했되돼끝난]|(?<!겹치지 )(?<!중복되지 )않|못|(?<!상관)(?<!관계)(?<!빠짐)(?<!남김)없는|아니[고며]|아닌|비공개|미공개|미인증"
)
NEGATION = re.compile(
    rf"{PLAIN_NEGATION.pattern}|(?<![가-힣])(?:{_PREFIXED})|없|아니|말고|제외|빼|불가|아직|여전|계속|오프|현역|판매"
    r"|\b(?:not?|non|without|never|isn't|aren't|un\w+)\b",
    re.I,
)
FLAG = re.compile(r"(is|has|can|was|did|needs|allows)_|.*_(included|required|allowed|yn|flag)$|active|enabled|visible")
NONE = re.compile(r"(?<![\d.])0(?!\d)|없|못|안 |않|빵|영[점원명건]|\b(?:no|none|zero|not|without|never)\b", re.I)
ONE = re.compile(
    r"(?<!\d)0?1(?!\d)|하나(?!도)|(?<![가-힣])한(?! ?\S*도 )|첫|일[등위층급학]|\b(?:one|first|single|once)\b|[a-z]{3}",
    re.I,
)
SMALL = {"두": 2, "둘": 2, "세": 3, "셋": 3}
SMALL_BOUND = re.compile(r"(?<![가-힣\d])(두|둘|세|셋)\s?([가-힣]{0,2})\s?(?:이상|이하|미만|초과)")
SHARE = re.compile(r"비율|비중|율|%|퍼센트|프로|percent|ratio|rate|share", re.I)


@dataclass
class Said:
    """What a question says: its numbers, and its text without spaces and signs."""

    question: str
    text: str
    numbers: set[float] = field(default_factory=set)  # every number that may be meant
    counted: set[float] = field(default_factory=set)  # those that surely are: the query must use them
    words: list[str] = field(default_factory=list)


def disagreements(
    question: str, tree: exp.Expression, flags: Collection[str] = (), foreign_values: bool = False
) -> list[str]:
    """What one of the two says and the other does not; empty where they agree.

    flags: names of yes-no columns, in small letters, besides those that are called is_, has_ and the like.
    foreign_values: let a value in Latin letters pass where the question is Korean and does not have it; data sets
    that were translated ask for 프랑스 and mean 'France'.
    """
    said = read_question(question)
    used: set[float] = set()
    found = []
    for literal in tree.find_all(exp.Literal):
        used |= _numbers_in(literal.name)
        if _is_technical(literal):
            continue
        if literal.is_string:
            said_so = text_said(literal.name, said) or (foreign_values and _foreign(literal.name, question))
        else:
            said_so = number_said(float(literal.name), literal, said, flags)
        if not said_so:
            found.append(f"{literal.name} is not said")
    for node in tree.find_all(exp.Identifier):
        used |= _numbers_in(node.name)
    # None of something may be said of rows that an outer join keeps, and one of something goes without saying.
    silent = {0.0, 1.0} if tree.find(exp.Coalesce, exp.Exists, exp.Not) or _outer(tree) else {1.0}
    unused = {n for n in said.counted - silent if not any(_same(n, u, said) for u in used)}
    return found + [f"{n:g} is said and not used" for n in sorted(unused)] + wrong_flags(tree, question, flags)


# A bound of years or months may lie one beside what is said: up to 2024 is `< 2025`, before 2024 `<= 2023`.
BESIDE = {exp.LT: -1, exp.LTE: 1, exp.GT: 1, exp.GTE: -1}


# --- the question ------------------------------------------------------------------------------------------------------
def read_question(question: str) -> Said:
    said = Said(question, squeezed(question))
    for item in cut(question):
        said.words.append(item.text)
        if item.kind in ("number", "date"):
            said.numbers |= _numbers_in(item.text)
        if item.kind == "number" and item.counter:
            written = question[item.start : item.end]
            # "세 주세요" is no three and "두 팀" often no condition: in words only four and more are surely counted.
            sure = re.search(r"\d", written) or (item.counter and not re.match("[십백천만]", written))
            said.counted |= {n for n in _numbers_in(item.text) if sure and (n > 3 or re.search(r"\d", written))}
    said.numbers |= _numbers_in(question)
    for word, _ in SMALL_BOUND.findall(question):
        said.counted.add(float(SMALL[word]))
    bare = re.sub(r"\s", "", question)
    said.numbers |= {float(number) for phrase, number in PHRASES.items() if phrase in bare}
    said.numbers |= {float(UNITS_ALONE[word]) for word in re.findall(r"(?<![가-힣])([백천만억])(?=\s)", question)}
    said.numbers |= english_numbers(question)
    return said


def english_numbers(text: str) -> set[float]:
    found, value = set(), 0.0
    for word in [*re.findall(r"[a-z]+|\d[\d,.]*", text.lower()), ""]:
        if word in ENGLISH:
            value += ENGLISH[word]
            found.add(float(ENGLISH[word]))
        elif word in SCALES:
            value = (value or 1) * SCALES[word]
        elif word[:1].isdigit():
            value = float(word.replace(",", "").rstrip(".") or 0) if word.count(".") < 2 else 0.0
            continue
        elif value:
            found.add(value)
            value = 0.0
    return found


def squeezed(text: str) -> str:
    return re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", text).casefold())


def _numbers_in(text: str) -> set[float]:
    return {float(number.replace(",", "")) for number in NUMBER.findall(text)}


# --- the query's values ------------------------------------------------------------------------------------------------
def _is_technical(literal: exp.Literal) -> bool:
    """Values that say how to compute or to write, not what is asked for."""
    parent = literal.parent
    if literal.is_string and re.search(r"%[YmdHMSiWwjab]", literal.name):
        return True  # a date's format
    if isinstance(parent, exp.Round | exp.Coalesce | exp.Substring | exp.Left | exp.Right | exp.Alias | exp.Cast):
        return True
    if isinstance(parent, exp.Case | exp.If):
        return True  # what a CASE gives: often a word of the query's own
    if isinstance(parent, exp.Select | exp.Ordered | exp.Group | exp.DataType | exp.DataTypeParam):
        return True
    return bool(literal.find_ancestor(exp.WindowSpec))


def number_said(value: float, literal: exp.Literal, said: Said, flags: Collection[str]) -> bool:
    if value in (0, 1):
        return not _counts(literal, flags) or bool((ONE if value else NONE).search(said.question))
    if any(_same(number, value, said) for number in said.numbers):
        return True
    if value == 100 and SHARE.search(said.question):
        return True
    parent = literal.parent.parent if isinstance(literal.parent, exp.Paren | exp.Neg) else literal.parent
    if isinstance(parent, exp.Offset):
        return value + 1 in said.numbers
    beside = BESIDE.get(type(parent))
    of_time = 1900 <= value <= 2100 or (value < 60 and _is_part_of_date(parent.this))
    return bool(beside and of_time and value + beside in said.numbers)


def _is_part_of_date(node: exp.Expression) -> bool:
    return isinstance(node, exp.Func) and not isinstance(node, exp.AggFunc)


def _counts(literal: exp.Literal, flags: Collection[str]) -> bool:
    """Whether a 0 or 1 is what a plain column of numbers is asked to be: a yes-no column says neither, nor does a rank
    that the query makes itself (`place = 1` is the most of something, as `LIMIT 1` is)."""
    column = literal.parent.this if isinstance(literal.parent, exp.EQ | exp.NEQ) else None
    if not isinstance(column, exp.Column) or is_flag(column.name, flags):
        return False
    return column.name not in own_names(literal.root())


def is_flag(name: str, flags: Collection[str]) -> bool:
    return name.lower() in flags or FLAG.match(name.lower()) is not None


def _outer(tree: exp.Expression) -> bool:
    return any(join.side in ("LEFT", "RIGHT") for join in tree.find_all(exp.Join))


def _same(number: float, value: float, said: Said) -> bool:
    if abs(number - value) < 1e-9:
        return True
    if number + 12 == value and number < 12 and _AFTERNOON.search(said.question):
        return True
    return any(
        abs(number * factor - value) < 1e-9
        for pattern, factors in UNITS
        if pattern.search(said.question)
        for factor in factors
    )


def text_said(value: str, said: Said) -> bool:
    wanted = squeezed(value.strip("%_"))
    if not wanted:
        return True
    moment = DATE.fullmatch(value.strip("%"))
    if moment:
        return wanted in said.text or date_said(moment, said)
    if CLOCK.fullmatch(value):
        hour = float(value.split(":")[0])
        return hour in (0, 23) or any(_same(number, hour, said) for number in said.numbers)
    if len(wanted) == 1:
        return one_letter_said(wanted, said)
    if wanted in said.text:
        return True
    return wanted.replace(".", "").isdecimal() and float(wanted) in said.numbers


def one_letter_said(letter: str, said: Said) -> bool:
    """Y or 남 in quotes, by itself or at the head of a word: 여 is in 여자 and in 보여줘."""
    if re.search(rf"['\"‘“「『]{re.escape(letter)}['\"’”」』]", said.question, re.I):
        return True
    if letter.isascii():
        return re.search(rf"(?<![a-z]){re.escape(letter)}(?![a-z])", said.question, re.I) is not None
    return any(word.startswith(letter) and len(word) <= 3 for word in said.words) or f" {letter}" in said.question


def date_said(moment: re.Match, said: Said) -> bool:
    """A day is said where its year, month and day are, or lie on the bounds of what is: 2024년 has 2025-01-01 for end."""
    year, month, day = (float(part) if part else None for part in moment.groups()[:3])
    question = said.question
    years, months, days = _years(said), _found(r"(\d{1,2})\s?월", question), _found(r"(\d{1,2})\s?일(?!간)", question)
    for written in DATE.finditer(question):
        months.add(float(written[2]))
        days |= {float(written[3])} if written[3] else set()
    new_year, years_end = month == 1 and day in (1, None), month == 12 and day == 31
    if years and not (year in years or (new_year and year - 1 in years) or (years_end and year + 1 in years)):
        return False
    if not months:
        # Half a year, a quarter, the last three months, an English month's name: any bound may follow from it.
        loose = re.search(
            r"분기|반기|봄|여름|가을|겨울|올해|작년|지난|이번|최근|오늘|어제|내년|[a-z]{3,}", question, re.I
        )
        return bool(loose) or (bool(years) and (month in (1, 12, None) or bool(days)))
    if month not in months and not (day == 1 and ((month - 2) % 12 + 1) in months):
        return False
    bound = day is not None and (day == 1 or day >= 28)
    return day is None or day in days or day - 1 in days or (bound and len(days) < 2)


def _years(said: Said) -> set[float]:
    """Years in full, as 23년, and all of a decade."""
    years = {number for number in said.numbers if 1900 <= number <= 2100}
    years |= {2000 + short for short in _found(r"(?<!\d)(\d\d)\s?년", said.question)}
    if re.search(r"년대|decade|\d0s", said.question):
        years |= {year + more for year in set(years) for more in range(11)}
    return years


def _found(pattern: str, text: str) -> set[float]:
    return {float(number) for number in re.findall(pattern, text)}


def _foreign(value: str, question: str) -> bool:
    return re.search(r"[가-힣]", question) is not None and re.search(r"[가-힣]", value) is None and len(value) > 1


# --- yes-no columns ----------------------------------------------------------------------------------------------------
def wrong_flags(tree: exp.Expression, question: str, flags: Collection[str]) -> list[str]:
    """`is_x = 0` needs a word of negation, and a lone `is_x = 1` bears no plain one."""
    asked = []
    for node in tree.find_all(exp.EQ):
        column, value = node.this, node.expression
        if not (isinstance(column, exp.Column) and isinstance(value, exp.Literal) and not value.is_string):
            continue
        if is_flag(column.name, flags):
            asked.append((column.name, value.name))
    # A NOT takes one word of negation for itself: "no one who is hurt" is NOT IN (… is_hurt = 1).
    taken = sum(not isinstance(node.this, exp.Is) for node in tree.find_all(exp.Not))
    spare = len(NEGATION.findall(question)) - taken
    found = [f"{name} = 0 is asked for by no word of negation" for name, value in asked if value == "0" and spare < 1]
    denied = tree.find(exp.Not, exp.NEQ, exp.Is, exp.Except, exp.LT, exp.LTE) or tree.find(exp.Case, exp.Having)
    zero = any(literal.name == "0" for literal in tree.find_all(exp.Literal))
    if len(asked) == 1 and asked[0][1] == "1" and not denied and not zero and PLAIN_NEGATION.search(question):
        found.append(f"{asked[0][0]} = 1 stands beside a word of negation")
    return found
