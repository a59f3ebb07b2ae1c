"""Cut a Korean question into dictionary words, particles, numbers, dates and literals.

    cut("서른 살 이상인 회원") -> items with their English glosses

The cheapest path through the question wins (Viterbi over positions), so `회원등급별` is found as `회원` + `등급` + `별`
while a name such as `이서연` stays whole. The words are those of `lexicon.tsv`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

LEXICON = Path(__file__).with_name("lexicon.tsv")
LONGEST_QUESTION = 600  # characters; what follows is not read, so that a hostile question costs no time
DIRECTIONS = {"high", "low", "early", "late"}

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
