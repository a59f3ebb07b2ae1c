"""Schema linking: a short English gloss of a Korean question, in the words of the given schema.

The base model is small and reads Korean as bytes, two tokens a syllable; `hint` does the dictionary work for it.
With `players(player_id, username, level)`, `레벨이 30 이상인 플레이어 이름 알려줘` becomes
`level 30 >= players username`. It only looks words up (`lexicon.tsv`), turns numerals and dates into digits,
and spells what it recognises as the schema does. It decides nothing about the query, and never sees the answer.

The question is cut into dictionary words, particles and literals by the cheapest path (Viterbi over positions),
so `회원등급별` is found as `회원` + `등급` + `별` while a name such as `이서연` stays whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from .schema_text import Table, parse_tables

LEXICON = Path(__file__).with_name("lexicon.tsv")
SYNONYMS = Path(__file__).with_name("synonyms.txt")
LONGEST_QUESTION = 600  # characters; what follows is not read, so that a hostile question costs no time
DIRECTIONS = {"high", "low", "early", "late"}
AGGREGATES = {"COUNT": "count", "SUM": "total", "AVG": "average", "MAX": "max", "MIN": "min"}
THAN = {"high": ">", "low": "<", "late": "after", "early": "before"}

# Spellings of one notion in identifiers.
SPLIT = {
    "username": "user name", "nickname": "nick name", "birthdate": "birth date", "birthday": "birth date",
    "firstname": "first name", "lastname": "last name", "filename": "file name", "fullname": "full name",
    "playtime": "play time", "runtime": "run time", "timestamp": "date", "datetime": "date",
    "dob": "birth date",
}  # fmt: skip
SAME = {
    "at": "date", "on": "date", "day": "date", "dt": "date", "since": "date", "qty": "count",
    "quantity": "count", "cnt": "count", "num": "count", "cost": "price", "signup": "join",
    "registration": "join", "register": "join", "enrollment": "enroll", "avg": "average", "sum": "total",
    "no": "number", "maximum": "max", "minimum": "min", "tel": "phone", "mobile": "phone",
    "addr": "address", "dept": "department", "desc": "description", "people": "person",
    "staff": "employee", "movie": "film", "mail": "email", "identifier": "id", "lv": "level",
    "lvl": "level", "exp": "experience", "pct": "percent", "sec": "time", "second": "time",
    "minute": "time", "hour": "time", "duration": "time", "length": "time",
}  # fmt: skip
UNIT_PIECES = {"g", "kg", "cm", "km", "won", "krw", "usd", "mb", "gb", "sqm", "ml", "m2", "pct"}
NOISE = {"date", "is", "of", "has", "the", "was", "to"}

# --- numbers ------------------------------------------------------------------------------
UNITS = {"십": 10, "백": 100, "천": 1000, "만": 10**4, "억": 10**8, "조": 10**12}
DIGITS = {syllable: digit for digit, syllable in enumerate("일이삼사오육칠팔구", 1)}
TENS = {
    "열": 10, "스물": 20, "스무": 20, "서른": 30, "마흔": 40, "쉰": 50, "예순": 60, "일흔": 70,
    "여든": 80, "아흔": 90,
}  # fmt: skip
ONES = {
    "하나": 1, "한": 1, "둘": 2, "두": 2, "셋": 3, "세": 3, "석": 3, "넷": 4, "네": 4, "넉": 4, "다섯": 5,
    "여섯": 6, "일곱": 7, "여덟": 8, "아홉": 9,
}  # fmt: skip
COUNTERS = (
    "성급|성|명|분|사람|개월|개국|개|살|세|만 원|원|달러|유로|엔|위안|점|회차|회|번째|번|건|권|편|대|채|"
    "장|곡|병|잔|마리|그루|송이|켤레|벌|시간|분간|초|일간|일|주일|주간|주|달|년간|년생|년|층|호실|호|평|"
    "제곱미터|미터|킬로미터|킬로그램|킬로|그램|센티미터|센티|리터|톤|박|인분|인용|인승|인|곳|군데|가지|"
    "종류|종|쪽|페이지|화|부작|부|골|승|패|무|등급|등|위|학점|학기|학년|학급|반|킬|포인트|레벨|칸|줄|석|"
    "좌석|쌍|묶음|박스|상자|세트|팩|봉지|그릇|접시|판|통|캔|퍼센트|프로|퍼|도|배|차례|끼|표|팀|가구|"
    "세대|칼로리|와트|볼트|마력|코어|메가|기가|테라|바이트|척|과목|경기|시즌|라운드|일차|주차|기|건씩|"
    "kcal|kWh|km|kg|cm|mm|ml|mL|㎡|m2|m²|GB|MB|TB|KB|GHz|mg|cc|m|g|L|l|t|%|％|℃|°C|°|₩|\\$"
)
# What a counter measures, so that `5층` can say floor.
MONEY = (
    "price, cost, fee, amount, salary, budget, fare, rent, total, pay, balance, deposit, premium, sales, revenue, prize"
)
COUNTED = {
    "층": "floor", "살": "age", "세": "age", "학점": "credits", "학년": "grade, school year, year",
    "레벨": "level", "성급": "stars, grade", "성": "stars, rating", "쪽": "pages, page count",
    "페이지": "pages, page count", "kg": "weight", "킬로그램": "weight", "cm": "height",
    "평": "area, size", "㎡": "area, size", "제곱미터": "area, size", "km": "distance, mileage",
    "인승": "seats, capacity", "인용": "capacity", "점": "score, rating, points", "시간": "time",
    "분": "time", "초": "time", "kcal": "calories", "칼로리": "calories", "원": MONEY, "만 원": MONEY,
    "달러": MONEY, "인분": "servings", "위": "rank", "등": "rank", "박": "nights", "포인트": "points",
    "도": "temperature", "℃": "temperature", "호": "room number, number", "골": "goals",
    "%": "rate, percent, discount", "퍼센트": "rate, percent, discount", "년생": "birth year, birth date",
}  # fmt: skip
COUNTER_RE = re.compile(rf"\s?({COUNTERS})")
NUMBER_RE = re.compile(
    r"[₩$]?(-?\d[\d,]*(?:\.\d+)?(?:[십백천만억조]+(?:\s?\d[\d,]*[십백천만억조]+|(?<=[천만억조])\d+)*)?)"
)
SINO_RE = re.compile(
    r"([일이삼사오육칠팔구]?[십백천만억][일이삼사오육칠팔구십백천만억]*"
    r"(?:\s[일이삼사오육칠팔구십백천]*[십백천만])?)"
)
NATIVE_RE = re.compile(f"(?:({'|'.join(TENS)})({'|'.join(ONES)})?|({'|'.join(ONES)}))")
COMPARED_RE = re.compile(r"\s?(?:이상|이하|미만|초과|넘|보다|[을를이가]\s?넘)")
DATES = [
    (re.compile(r"(\d{4})\s?[-./]\s?(\d{1,2})\s?[-./]\s?(\d{1,2})(?!\d)"), "{0}-{1:0>2}-{2:0>2}"),
    (re.compile(r"(\d{4})\s?년\s*(\d{1,2})\s?월\s*(\d{1,2})\s?일"), "{0}-{1:0>2}-{2:0>2}"),
    (re.compile(r"(\d{4})\s?년도?\s*(\d{1,2})\s?월(?!\s?\d)"), "year {0} month {1}"),
    (re.compile(r"(\d{4})\s?-\s?(\d{1,2})(?![\d-])"), "{0}-{1:0>2}"),
    (re.compile(r"(\d{4})\s?년대"), "{0} decade"),
    (re.compile(r"(\d{4})\s?(?:년도|년)(?!생)"), "year {0}"),
    (re.compile(r"(\d{1,2})\s?월\s*(\d{1,2})\s?일"), "month {0} day {1}"),
    (re.compile(r"(\d{1,2})\s?월"), "month {0}"),
    (re.compile(r"(\d)\s?분기"), "quarter {0}"),
    (re.compile(r"(\d{1,2}:\d{2}(?::\d{2})?)"), "{0}"),
    (re.compile(r"([1-9]0)\s?대(?=[\s의인이는은가와]|$)(?!\s?(?:이상|이하|미만|초과|넘))"), "{0}s"),
]
QUOTED_RE = re.compile(r"'([^'\n]+)'|\"([^\"\n]+)\"|‘([^’\n]+)’|“([^”\n]+)”|「([^」\n]+)」|『([^』\n]+)』|`([^`\n]+)`")
LATIN_RE = re.compile(r"[A-Za-z_][A-Za-z0-9_+#&@.-]*")
WORD_RE = re.compile(r"(?:[^\s,.?!;…·~^—–×→()\[\]{}<>\"'‘’“”ㄱ-ㅎㅏ-ㅣ]|\.(?=\w))+")
# An inflected ending; `결제했었던` is `결제` and a tail that nobody needs to list.
TAIL_RE = re.compile(
    r"[하했한할함해되된될됐돼시였었았던는은을인일이지고며면져졌진받당있없][가-힣]{0,4}"
    r"(?<=[요까다나지고며면은는을던해데어야줘서죠게기음니자네가한된될할라냐래])$"
)
# A word nobody listed, yet plainly the verb of the request: 발표해줘, 확인해주시겠어요, 머였더라.
REQUEST_RE = re.compile(
    r"(줘|줘요|주세요|주라|줄래요?|주실래요?|주시겠.*|주십시오|주시죠|줘라|까|까요|나요|는지요?|는가요?|인지요?|죠|지요|"
    r"[했였었았]어요?|[했였었았]니|더라|바랍니다|바람|습니다|합니다|입니다|입니까|습니까|[해봐]요|세요|거든요?|는데요?|"
    r"래요?|을게|할게|대요|하자|합시다|시오|냐|네요|군요?)$"
)


def korean_number(text: str) -> str | None:
    """Digits for `3만 5천`, `2천만`, `백만`, `1,200`, `4.50`; None where the text is no number."""
    text = re.sub(r"[\s,]", "", text)
    if re.fullmatch(r"-?\d+(\.\d+)?", text):
        return text
    total = section = 0.0
    current: float | None = None
    for part in re.findall(r"\d+(?:\.\d+)?|.", text):
        if part[0].isdecimal():
            current = float(part)
        elif part in DIGITS:
            current = float(DIGITS[part])
        elif UNITS.get(part, 0) >= 10**4:
            total += ((section + (current or 0)) or 1) * UNITS[part]
            section, current = 0.0, None
        elif part in UNITS:
            section += (1 if current is None else current) * UNITS[part]
            current = None
        else:
            return None
    value = round(total + section + (current or 0), 6)
    return str(int(value)) if value == int(value) else str(value)


# --- the lexicon --------------------------------------------------------------------------
@dataclass(frozen=True)
class Entry:
    """A line of lexicon.tsv. kind is its section: noun, verb, adjective, value, person, function, nothing …"""

    korean: str
    glosses: tuple[str, ...]
    kind: str
    suffix: bool
    noun: tuple[str, ...] = ()  # of a value such as 배정: its glosses as the name of a table or column


@lru_cache(maxsize=1)
def lexicon() -> dict[str, list[tuple[re.Pattern[str], Entry]]]:
    """Entries by their first character. `-별` may only follow another word; a space in an entry is optional."""
    entries: dict[tuple[str, bool], Entry] = {}
    kind = "noun"
    for line in LEXICON.read_text(encoding="utf-8").splitlines():
        if line.startswith("#") or not line.strip():
            section = re.match(r"# \[(\w+)\]", line)
            kind = section.group(1) if section else kind
            continue
        korean, _, english = line.partition("\t")
        suffix = korean.startswith("-") or kind in ("particle", "ending")
        korean = korean.removeprefix("-").strip()
        glosses: list[str] = []
        direction = ""
        for gloss in filter(None, (part.strip() for part in english.split(","))):
            # A direction holds for the alternatives after it too: `high price, cost` is high price or high cost.
            if gloss.split(" ")[0] in DIRECTIONS:
                direction = gloss.split(" ")[0]
            elif direction:
                gloss = f"{direction} {gloss}"
            glosses.append(gloss)
        known = entries.get((korean, suffix))
        if known is None:
            entries[(korean, suffix)] = Entry(korean, tuple(glosses), kind, suffix)
        elif known.kind == "value":  # 배정 may be a status, or what a table of assignments is called
            entries[(korean, suffix)] = replace(known, noun=tuple(glosses))
    index: dict[str, list[tuple[re.Pattern[str], Entry]]] = {}
    for entry in entries.values():
        pattern = re.compile(r"\s*".join(map(re.escape, entry.korean.split(" "))))
        index.setdefault(entry.korean[0], []).append((pattern, entry))
    return index


# --- cutting the question -----------------------------------------------------------------
@dataclass(frozen=True)
class Item:
    """A piece of the question: an entry of the lexicon, or text to hand on as it is."""

    entry: Entry | None
    text: str
    kind: str  # the entry's kind, or literal, quoted, latin, number, date
    start: int
    end: int
    counter: str = ""


# What may follow. A literal takes particles that fit its last sound; only dictionary words take inflected tails.
START, AFTER_WORD, AFTER_SUFFIX, AFTER_LITERAL, AFTER_NUMBER = range(5)
Edge = tuple[float, int, int, Item | None]  # cost, next position, next state, item
JOSA_AFTER_CONSONANT = {
    "이",
    "은",
    "을",
    "과",
    "으로",
    "이나",
    "이랑",
    "이라는",
    "이라고",
    "이고",
    "이며",
    "이거나",
}
JOSA_AFTER_VOWEL = {"가", "는", "를", "와", "랑", "라는", "라고"}
# Far more often the end of a name than a particle after one: 제주도, 한가람들, 최만
PART_OF_NAMES = frozenset(
    ["도", "만", "고", "며", "나", "씩", "째", "요", "다", "란", "든",
     "당", "용", "생", "중", "서", "네", "수", "순", "대로", "씨가"]
)  # fmt: skip


def _fits(before: str, particle: str) -> bool:
    if not "가" <= before <= "힣":
        return not particle.startswith("급")
    closed = (ord(before) - 0xAC00) % 28 != 0
    if particle in PART_OF_NAMES or particle.startswith("들"):
        return False
    if particle in JOSA_AFTER_CONSONANT:
        return closed
    return not closed if particle in JOSA_AFTER_VOWEL else True


def _edges(text: str, at: int, state: int, quotes: dict[int, tuple[int, str]]) -> list[Edge]:
    if at in quotes:
        end, content = quotes[at]
        return [(0.0, end, AFTER_LITERAL, Item(None, content, "quoted", at, end))]
    word = WORD_RE.match(text, at)
    if not word:
        return [(0.0, at + 1, START, None)]
    edges = _number_edges(text, at, state) if state in (START, AFTER_WORD, AFTER_NUMBER) else []
    for pattern, entry in lexicon().get(text[at], ()):
        match = pattern.match(text, at)
        if not match:
            continue
        end, length = match.end(), len(entry.korean)
        item = Item(entry, text[at:end], entry.kind, at, end)
        if entry.suffix:
            if state == START or (
                state == AFTER_LITERAL and (entry.kind != "particle" or not _fits(text[at - 1], entry.korean))
            ):
                continue
            edges.append((0.5 - 0.01 * length, end, AFTER_WORD if entry.glosses else AFTER_SUFFIX, item))
        elif length == 1:
            # 안 and 못 stand alone or before 하다 and 되다; 안과 is no "not".
            free = (
                entry.glosses[:1] not in (("not",), ("most",))
                or text[end : end + 1] in tuple("하한했해되된됐돼 ")
                or end == len(text)
            )
            if state == START and free:
                edges.append((1.3, end, AFTER_SUFFIX, item))
        elif state == START or (state in (AFTER_WORD, AFTER_NUMBER) and entry.kind != "nothing"):
            cost = 0.3 if entry.korean[0].isdecimal() else 1.0  # 1인실 is a kind of room, not the number 1
            edges.append((cost - 0.1 * length, end, AFTER_SUFFIX if entry.kind == "nothing" else AFTER_WORD, item))
    end = word.end()
    if state == START:
        for stop in range(min(at + 2, end), end + 1):
            item = Item(None, text[at:stop].rstrip("."), "literal", at, stop)
            edges.append((4 + 0.5 * (stop - at), stop, AFTER_LITERAL, item))
    elif state == AFTER_WORD and end - at <= 5 and TAIL_RE.match(text[at:end]):
        edges.append((2.0 + 0.3 * (end - at), end, AFTER_SUFFIX, None))
    return edges


def _number_edges(text: str, at: int, state: int) -> list[Edge]:
    """Dates, numbers with and without their counter, and Latin words."""
    edges: list[Edge] = []
    if text[at - 1 : at].isdecimal():
        return edges
    for pattern, template in DATES:
        match = pattern.match(text, at)
        if match:
            item = Item(None, template.format(*match.groups()), "date", at, match.end())
            edges.append((0.2, match.end(), AFTER_NUMBER, item))
            break
    found: list[tuple[int, str | None, float]] = []
    match = NUMBER_RE.match(text, at)
    if match:
        found.append((match.end(), korean_number(match.group(1)), 0.5))
    elif state == START:
        match = SINO_RE.match(text, at)
        if match:
            found.append((match.end(), korean_number(match.group(1)), 0.9))
        match = NATIVE_RE.match(text, at)
        if match:
            tens, one, alone = match.groups()
            found.append((match.end(), str(TENS.get(tens, 0) + ONES.get(one or alone, 0)), 0.8))
    for end, value, cost in found:
        if value is None:
            continue
        counter = COUNTER_RE.match(text, end)
        if counter:
            item = Item(None, value, "number", at, counter.end(), counter.group(1))
            edges.append((cost, counter.end(), AFTER_NUMBER, item))
        if cost == 0.5 or COMPARED_RE.match(text, end) or (end - at > 1 and cost == 0.8):
            edges.append((cost + 0.1, end, AFTER_NUMBER, Item(None, value, "number", at, end)))
    match = LATIN_RE.match(text, at)
    if match and not re.match(r"[A-Za-z0-9_]", text[at - 1 : at]):
        edges.append((0.8, match.end(), AFTER_NUMBER, Item(None, match.group().rstrip(".-"), "latin", at, match.end())))
    return edges


def cut(question: str) -> list[Item]:
    """The question as dictionary words and literals, in order; particles and endings included."""
    text = question[:LONGEST_QUESTION]
    quotes = {}
    for match in QUOTED_RE.finditer(text):
        content = next(group for group in match.groups() if group).strip()
        quotes[match.start()] = (match.end(), f"'{content}'")
    best: dict[tuple[int, int], tuple[float, tuple[int, int] | None, Item | None]] = {(0, START): (0.0, None, None)}
    for at in range(len(text)):
        for state in range(5):
            here = best.get((at, state))
            if here is None:
                continue
            for cost, end, following, item in _edges(text, at, state, quotes):
                total = here[0] + cost
                if (end, following) not in best or total < best[(end, following)][0]:
                    best[(end, following)] = (total, (at, state), item)
    ends = [(best[(len(text), state)][0], state) for state in range(5) if (len(text), state) in best]
    key: tuple[int, int] | None = (len(text), min(ends)[1]) if ends else None
    items = []
    while key is not None:
        _, previous, item = best[key]
        if item is not None:
            items.append(item)
        key = previous
    return items[::-1]


# --- linking to the schema ----------------------------------------------------------------
@dataclass(frozen=True)
class Schema:
    tables: tuple[tuple[str, frozenset[str]], ...]
    columns: tuple[tuple[str, frozenset[str], str, frozenset[str]], ...]  # name, notions, its table, table's notions


@lru_cache(maxsize=4096)
def _schema(tables: tuple[Table, ...]) -> Schema:
    return Schema(
        tuple((name, canonical(name)) for name, _, _ in tables),
        tuple((column, canonical(column), name, canonical(name)) for name, columns, _ in tables for column in columns),
    )


@lru_cache(maxsize=65536)
def canonical(phrase: str) -> frozenset[str]:
    """The notions in an identifier or a gloss: `registered_at` and `join date` are both {join, date}."""
    words = re.findall(r"[a-z]+|\d+", re.sub(r"([a-z])([A-Z])", r"\1 \2", phrase).lower())
    words = [part for word in words for part in SPLIT.get(word, word).split(" ")]
    return frozenset(_stem(word) for word in words if word not in UNIT_PIECES or len(words) == 1)


def _stem(word: str) -> str:
    word = SAME.get(word, word)
    if word.endswith("ies") and len(word) > 4:
        word = word[:-3] + "y"
    elif re.search(r"(ss|x|ch|sh)es$", word):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 3:
        word = word[:-1]
    word = SAME.get(word, word)
    if word in ("date", "time", "price", "type"):
        return word
    word = word[:-2] if word.endswith("ed") and len(word) > 4 else word
    word = word[:-1] if word.endswith("e") and len(word) > 3 else word
    return SAME.get(word, word)


@lru_cache(maxsize=1)
def _kin() -> dict[str, frozenset[str]]:
    """For a word, those it may stand for."""
    kin: dict[str, set[str]] = {}
    for line in SYNONYMS.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        words = [_stem(word) for word in line.split(" ")]
        for word in words:
            kin.setdefault(word, set()).update(words)
    return {word: frozenset(words) for word, words in kin.items()}


@lru_cache(maxsize=65536)
def _akin(wanted: frozenset[str], name: frozenset[str]) -> bool:
    """Whether one word of a gloss and of an identifier differ, and the two are synonyms."""
    ours, theirs = wanted - name - NOISE, name - wanted - NOISE
    return len(ours) == 1 and len(theirs) == 1 and min(theirs) in _kin().get(min(ours), ())


@lru_cache(maxsize=1 << 18)
def _likeness(wanted: frozenset[str], name: frozenset[str], table: frozenset[str]) -> float:
    """How well an identifier fits a gloss: 3 the same words, down to 1 a part of them; 0 not at all."""
    if not wanted or not name or not wanted - NOISE:
        return 3.0 if wanted and wanted == name else 1.9 if wanted and wanted < name else 0.0
    if wanted == name:
        return 3.0
    if wanted - NOISE and wanted - NOISE == name - NOISE:
        return 2.6 if wanted & NOISE or not name & {"date"} else 1.6
    if wanted | table == name:
        return 2.5
    if _akin(wanted, name):
        return 2.0
    if wanted | {"id"} == name:
        return 1.2
    if wanted < name:
        return 0.9 if "id" in name else 1.9 - 0.2 * len(name - wanted)
    if name < wanted and len(wanted) == 2 and "id" not in wanted and name - {"date"}:
        return 1.0
    return 0.0


@lru_cache(maxsize=1 << 18)
def _fit(glosses: tuple[str, ...], name: frozenset[str], table: frozenset[str] | None, verb: bool) -> float:
    """The best likeness of any gloss to an identifier, less a little for a later gloss. table: None for a table."""
    found = 0.0
    for rank, gloss in enumerate(glosses):
        direction, _, measured = gloss.partition(" ")
        wanted = canonical(measured if direction in DIRECTIONS and measured else gloss)
        likeness = _likeness(wanted, name, table or frozenset())
        # A noun is a table before it is a column; a verb means an identifier that says just this: 낸 is no pay_method.
        if table is not None and verb and likeness == 1.6:
            likeness = 2.6
        if likeness >= (2.5 if verb else 1.0):
            found = max(found, likeness + (1.5 if table is None and likeness == 3.0 else 0.0) - min(0.12 * rank, 0.8))
    return found


def _best(glosses: tuple[str, ...], schema: Schema, near: dict[str, float], verb: bool) -> tuple[float, str, str]:
    """(score, identifier, its table or '' where it is a table) for the best pair of gloss and identifier."""
    fits = [(_fit(glosses, notions, None, verb), name, "") for name, notions in schema.tables]
    for name, notions, table, own in schema.columns:
        fit = _fit(glosses, notions, own, verb)
        fits.append((fit + near.get(table, 0.0) if fit else 0.0, name, table))
    best = max(fits, key=lambda fit: fit[0], default=(0.0, "", ""))
    return best if best[0] > 0 else (0.0, "", "")


def _link(entry: Entry, schema: Schema, near: dict[str, float]) -> tuple[float, str, str]:
    if entry.kind == "person":
        # 사람 is whoever the schema keeps, if it keeps one sort of people only
        sorts = {canonical(gloss) for gloss in entry.glosses[1:]}
        people = [name for name, notions in schema.tables if notions in sorts]
        return (4.0, people[0], "") if len(people) == 1 else (0.0, "", "")
    return _best(entry.glosses, schema, near, entry.kind == "verb")


def _whole_name(question: str, items: list[Item], index: int) -> str:
    """The Korean of a word that names nothing in the schema but seems part of a longer name, or ''."""
    item = items[index]
    after = items[index + 1] if index + 1 < len(items) else None
    if after and after.start == item.end and after.kind == "noun" and after.entry and not after.entry.suffix:
        return item.text + after.text  # 국가장학금: a name, and a scholarship
    for other in items[max(index - 1, 0) : index] + items[index + 1 : index + 2]:
        between = question[min(item.end, other.end) : max(item.start, other.start)]
        nameless = other.kind == "literal" or (other.kind == "value" and other.entry and not other.entry.glosses)
        if nameless and between == " " and not REQUEST_RE.search(other.text):
            return item.text  # 무선 이어폰: nothing but a space between them
    return ""


def _pair(item: Item, following: Item, schema: Schema, near: dict[str, float]) -> str:
    """The column that two neighbours name together: 주문 + 날짜 is order_date, 총 + 금액 total_amount."""
    if item.entry is None or following.entry is None:
        return ""
    glosses = item.entry.noun or item.entry.glosses
    if not (item.kind in ("noun", "verb") or item.entry.noun) and not set(item.entry.glosses[:1]) & set(AGGREGATES):
        return ""
    if following.kind != "noun" and following.entry.glosses[:1] != ("COUNT",):
        return ""
    second = following.entry.glosses
    fits = [(_pair_fit(glosses, second, notions), table, name) for name, notions, table, _ in schema.columns]
    _, name = max(((fit + near.get(table, 0.0), name) for fit, table, name in fits if fit), default=(0.0, ""))
    return name


@lru_cache(maxsize=1 << 18)
def _pair_fit(glosses: tuple[str, ...], following: tuple[str, ...], name: frozenset[str]) -> float:
    found = 0.0
    for rank, first in enumerate(glosses if len(name) > 1 else ()):
        for second in following:
            wanted = canonical(f"{AGGREGATES.get(first, first)} {AGGREGATES.get(second, second)}")
            if wanted == name:
                found = max(found, 2 - 0.1 * rank)
            elif wanted & name and _akin(wanted, name):
                found = max(found, 1 - 0.1 * rank)
    return found


def _show(item: Item, schema: Schema, near: dict[str, float], column_open: bool) -> tuple[list[str], str, str]:
    """(what to write, the column it names or '', the table it names or '')."""
    if item.entry is None:
        if item.kind == "latin":
            for name, *_ in (*schema.tables, *schema.columns):
                if name.lower() == item.text.lower():
                    return [name], name, ""
        if item.kind == "number" and item.counter in COUNTED and not column_open:
            notions_of = [canonical(gloss) for gloss in COUNTED[item.counter].split(", ")]
            fitting = {
                name for name, notions, table, own in schema.columns for wanted in notions_of
                if _likeness(wanted, notions, own) >= 1.5 and (not near or table in near)
            }  # fmt: skip
            return ([*fitting, item.text] if len(fitting) == 1 else [item.text]), "", ""
        silent = item.kind == "literal" and REQUEST_RE.search(item.text)
        return ([] if silent else [item.text]), "", ""
    glosses = item.entry.glosses
    if item.kind not in ("noun", "verb", "adjective", "value", "person", "optional"):
        return list(glosses[:1]), "", ""
    _, name, table = _link(item.entry, schema, near)
    column = name if table else ""
    if item.kind == "value":
        score, noun, of = (
            _best(item.entry.noun, schema, near, True) if item.entry.noun and not column_open else (0.0, "", "")
        )
        if noun != name and score >= 2.5 + (1.2 if of in near else 0):  # only where the schema has just this name
            return [noun], (noun if of else ""), of or noun
        return ([name] if column else []) + [item.text], column, ""
    if not name:
        return ([] if item.kind == "optional" else list(glosses[:1])), "", ""
    if item.kind == "adjective":
        fits = (
            g
            for g in glosses
            if " " in g and _likeness(canonical(g.split(" ", 1)[1]), canonical(name), frozenset()) >= 1
        )
        return [next(fits, glosses[0]).split(" ")[0], name], column, ""
    return [name], column, table or name


def hint(question: str, context: str) -> str:
    """The gloss line of a question. Deterministic; never raises, whatever the two texts are.

    >>> hint("길드별 평균 레벨", "CREATE TABLE guilds (guild_id INT, level INT)")
    'guilds per AVG level'
    """
    schema = _schema(parse_tables(context))
    items = [item for item in cut(question) if not item.entry or item.entry.glosses or item.kind == "value"]
    mentioned: dict[str, float] = {}
    for item in items:
        if item.entry and item.kind in ("noun", "verb", "person", "value"):
            entry = replace(item.entry, kind="noun", glosses=item.entry.noun) if item.kind == "value" else item.entry
            score, name, table = _link(entry, schema, {})
            if name and not table and score >= 2.5:
                mentioned[name] = 1.2
    words: list[str] = []
    last_table = ""
    column_open = dated = paired = False  # column_open: a column was named and no value has followed it yet
    for index, item in enumerate(items):
        if paired:
            paired = False
            continue
        near = mentioned | ({last_table: 1.6} if last_table in mentioned else {})
        shown, column, table = _show(item, schema, near, column_open)
        own = table if table and not column else ""
        if index + 1 < len(items):
            pair = _pair(item, items[index + 1], schema, near | ({own: 1.6} if own else {}))
            if pair:
                shown, column, paired = ([own] if own else []) + [pair], pair, True
        if item.kind in ("noun", "value") and not column and not own:
            part = _whole_name(question, items, index)
            shown = [part] if part else shown
        if words[-1:] == ["than"] and shown and shown[0] in THAN:
            words[-1] = THAN[shown.pop(0)]
        # Said just before: 가격이 가장 비싼, 상태가 완료인, 서울에 사는
        if item.kind in ("adjective", "value", "optional", "verb") and column in words[-3:]:
            shown = [word for word in shown if word != column]
        if shown in (["from"], ["to"]) and items[index - 1].kind not in ("number", "date"):
            shown = []
        words += [word for word in shown if words[-1:] != [word]]
        dated = dated or "date" in canonical(column)
        column_open = bool(column) or (column_open and item.entry is not None)
        last_table = own or last_table
    if not dated and any(item.kind == "date" for item in items):
        dates = {
            name
            for name, notions, table, _ in schema.columns
            if "date" in notions and (not mentioned or table in mentioned)
        }
        if len(dates) == 1:
            first = next(item.text for item in items if item.kind == "date")
            words.insert(words.index(first) if first in words else 0, *dates)
    return " ".join(words)
