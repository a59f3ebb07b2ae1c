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
    "골드|다이아몬드|다이아|코인|캐시|크레딧|토큰|데스|어시스트|어시|콤보|렙|강(?![가-힣]{2}|의|사|좌|당|남|북|릉|원|동|서|아)|"
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
    "달러": MONEY, "인분": "servings", "골드": "gold, money, coins", "다이아": "diamonds, diamond, gems",
    "다이아몬드": "diamonds, diamond, gems", "코인": "coins, coin", "캐시": "cash", "크레딧": "credits, credit balance",
    "토큰": "tokens, token", "킬": "kills, kill, kill count", "데스": "deaths, death, death count", "렙": "level",
    "어시": "assists, assist", "어시스트": "assists, assist", "콤보": "combo, max combo",
    "강": "enhance level, enhancement level, upgrade level, plus level, enhancement, enhance, upgrade", "위": "rank", "등": "rank", "박": "nights", "포인트": "points",
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
TOP_RE = re.compile(r"(?:[Tt][Oo][Pp]|탑|톱|베스트|[Bb][Ee][Ss][Tt])\s?-?(\d{1,3}|원|투|쓰리|텐|파이브)(?![A-Za-z\d])")
SURNAMES = "김이박최정강조윤장임한오서신권황안송류유전홍고문양손배백허남심노곽성차주우구민진지엄채원천방공현함변염여추도소석선설마길표위기왕금옥육인맹제모탁국은편"
SURNAME_RE = re.compile(
    rf"([{SURNAMES}])씨"
    r"(?:\s?성(?:을|인|이)?(?:\s가진)?(?![가-힣])|(?=인|들|[\s,.?!]|$))"
)
# Syllables of given names: a word of a surname and two of these is a person, unless it is in the dictionary.
PERSON_RE = re.compile(
    rf"[{SURNAMES}]([가건경고광규균근기나남다대도동라란래령로린림명목미민범별병보봄빈빛상새서석선설섭성세소솔솜송수숙순슬승시신아안애연열"
    "영예오온옥완용우욱운웅원유윤율은의이인일임재정제종주준중지진찬창채철춘충태택하한해향현형혜호홍화환효훈휘희])([가건경광규균근기나남다"
    "담덕라란람래령린림명목미민범별병보빈빛상새서석선설섭성세솔솜송수숙순슬승식신아안애연열영예오온옥완용우욱운웅원유윤율은이인일재정종주준"
    "지진찬창채철춘충태택하한해향헌혁현형혜호홍화환효훈휘희])(?=[^가-힣]|$|의|에|이|가|은|는|을|를|와|과|씨|님|도|만|한테|에게|께|랑|이랑)"
)
TOPS = {"원": "1", "투": "2", "쓰리": "3", "파이브": "5", "텐": "10"}
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
    r"[했였었았]어요?|[했였었았]니|더라|바랍니다|바람|습니다|합니다|입니다|입니까|습니까|[해봐]요|[세새셰]요|[세새]여|주셈|거든요?|는데요?|"
    r"래요?|을게|할게|대요|하자|합시다|시오|냐|네요|군요?|[주보하]이소|[되있했었았였났됐]노|데예|[줘해봐]유|[하주]슈|는겨|[줘해]잉|줘부러|"
    r"혀요|[랑당]께|는디|구먼|줍서|주쇼|십쇼|려쥬|여쥬|줭|줘염|줘바|세염|[가-힣][주하]삼|니당|함다|데용|[햇됫됬잇]어|되요|고시퍼|려다오|주게나|주겠니|겠어요)$"
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
    faint: bool = False  # says nothing where the schema has no name for it: no value is called 내역 or 인원


@lru_cache(maxsize=1)
def stems() -> dict[str, Entry]:
    """The lexicon's [stem] sections by stem, which `/ㄷ` marks as irregular; the kind is that of the inflected words."""
    found: dict[str, Entry] = {}
    kind = ""
    for line in LEXICON.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            section = re.match(r"# \[(?:(stem) )?(\w+)\]", line)
            kind = (section.group(2) if section.group(1) else "") if section else kind
        elif kind and line.strip():
            written, _, english = line.partition("\t")
            for stem in (stem.replace("_", " ") for stem in written.split()):
                found[stem] = Entry(stem.partition("/")[0], _glosses(english), kind, suffix=False)
    return found


def _glosses(english: str) -> tuple[str, ...]:
    """The alternatives; a direction holds for those after it too: `high price, cost` is high price or high cost."""
    glosses: list[str] = []
    direction = ""
    for gloss in filter(None, (part.strip() for part in english.split(","))):
        if gloss.split(" ")[0] in DIRECTIONS:
            direction = gloss.split(" ")[0]
        elif direction:
            gloss = f"{direction} {gloss}"
        glosses.append(gloss)
    return tuple(glosses)


@lru_cache(maxsize=1)
def lexicon() -> dict[str, list[tuple[re.Pattern[str], Entry]]]:
    """Entries by their first character. `-별` may only follow another word; a space in an entry is optional."""
    entries: dict[tuple[str, bool], Entry] = {}
    kind = "noun"
    for line in LEXICON.read_text(encoding="utf-8").splitlines():
        if line.startswith("#") or not line.strip():
            section = re.match(r"# \[(\w+)", line)
            kind = section.group(1) if section else kind
            continue
        if kind == "stem":
            continue
        korean, _, english = line.partition("\t")
        if kind == "faint":
            for word in (word.replace("_", " ") for word in korean.split()):
                if (word, False) in entries:
                    entries[word, False] = replace(entries[word, False], faint=True)
            continue
        suffix = korean.startswith("-") or kind in ("particle", "ending")
        korean = korean.removeprefix("-").strip()
        glosses = _glosses(english)
        known = entries.get((korean, suffix))
        if known is None:
            entries[(korean, suffix)] = Entry(korean, glosses, kind, suffix)
        elif known.kind == "value":  # 배정 may be a status, or what a table of assignments is called
            entries[(korean, suffix)] = replace(known, noun=glosses)
        elif kind == "value" and known.kind == "noun":
            entries[(korean, suffix)] = replace(known, kind=kind, glosses=glosses, noun=known.glosses)
    index: dict[str, list[tuple[re.Pattern[str], Entry]]] = {}
    for entry in entries.values():
        pattern = re.compile(r"\s*".join(map(re.escape, entry.korean.split(" "))))
        index.setdefault(entry.korean[0], []).append((pattern, entry))
    return index


# --- conjugation --------------------------------------------------------------------------
# What may follow each allomorph of a stem, told from the others by the jamo it ends in; see `_allomorphs`.
BOUND = "(?:거|게|건|걸|것|것만|것들|거만|거부터|것부터|데|데가|데는|데만|데도|데부터|지|채|김에|대로|만큼|후|뒤|다음|사이)?"
PAST = (
    "(?:어|어요|어용|던|었던|던가|던데|던지|었나|을|을까|을까요|을지|을 때|고|고요|는|는데|는데요|는지|는지도|는지요|는가|지|지만|"
    "지요|죠|나|나요|냐|네|네요|니|다|다가|다는|다고|다던데|으면|으며|으면서|으면서도|으나|으니|으니까|거든|거든요|거나|습니다|"
    "습니까|음|더라|더라고|더니|대|대요|댔|군|군요|기|기에|잖아|잖아요|더라면|었지|었어|었죠)"
)
CAN = "(?: ?수(?:가|는|도)? ?[있없](?:나|나요|어|어요|을까|을까요|는|는지|는지요|습니까|니|는데|을지|으면|음|지|죠|으신가요|을런지))"
OPEN = (
    "(?:면|면은|면요|면 좋겠|며|면서|면서도|니|니까|려|려고|려고요|려면|려는|려던|려나|려니|러|라|라고|라는|자|시는|시는지|시고|시며|시면|시던|시기|시길|시나|시나요|"
    "시니|시지|시죠|시네|시려|시려면|세요|세여|세용|셔요|셔|셔서|셨던|셨어|셨어요|셨나|셨나요|셨는지|셨고|셨는데|셨습니다|신|신지|신가|신가요|신 분|"
    "실|실까|실까요|실래요|실 분|실지|십니까|십니다|십시오|시오|시겠어요|시겠습니까|시겠|나|되)"
)
AUXILIARY = (
    "본|보는|보고|볼|봐|봐서|보면|보니|보게|보고서|봐요|봅시다|보자|보려고|보려고요|보려면|준|주는|주고|줄|줘|주면|주시는|주신|주실|"
    "둔|두고|둬|놓은|놓고|놓는|놔|가는|간|갈|가고|가서|오는|온|올|오고|와|와서|있는|있던|있고|있어|있나|있나요|있음|있는지|있는데|"
    "있으면|있으며|있지|있을|있다는|있었던|계신|계시는|버린|내는|낸|지는|진|지고|진지|드린|드려|드릴|드리고|주기|야|야지|야만|야 하는|야 할|"
    "야 돼|댄|대는|치운|먹은|빠진|나온|나간|나가는|들인|둘"
)
ENDINGS = {
    # the stem itself; ㄹ stays before these
    "stem": re.compile(
        "(?:고|고요|고는|고서|고자|고만|고 있는|고 있|고 있고|고 있던|고 있나|고 있어|고있는|고 싶은|고 싶어|고 싶어요|고 싶|고 싶은데|고 싶네|고 싶네요|"
        "고 싶습니다|고 싶다|고 싶음|고싶|고싶어|고싶어요|고싶은데|고 계신|고 난|고 온|고 간|게|게끔|게요|게 된|게 되는|게 한|지|지도|지만|지요|죠|지는|진|"
        "지를|질|지 마|지 말고|지말고|기|기는|기만|기에|긴|길|기로|기도|기 전|기 위해|기 쉬운|거나|거든|거든요|거라|던|던가|던데|던데요|던지|더라|더라고|더라고요|더라도|더니|도록|"
        "자|자면|자마자|다가|다던데|다는|다면|다며|다고|다|든|든지|든가|자고|잖아|잖아요|어야|려나|러)"
    ),
    "nasal": re.compile(
        "(?:는|는데|는데요|는지|는지도|는지를|는지요|는가|는가요|는걸|는군|는군요|네|네요|나|나요|나 본|냐|냐고|느냐|니|는대|는대요|는다|는다는|는다면|"
        f"는다던데|는 중인|는 편인|는 중|는 족족){BOUND}"
    ),
    "open": re.compile(f"{OPEN}{BOUND}{CAN}?"),
    "ㄴ": re.compile(f"(?:지|지도|지요|지를|데|데요|데다|가|가요|걸요|다|다는|다던데|다면|대|대요|다고){BOUND}|{BOUND}"),
    "ㄹ": re.compile("(?:지|지도|까|까요|까나|래|래요|게|게요|만한|수록|때|때는|걸|거|건데|려고|려면|텐데|거야|뿐|줄)?" f"{CAN}?"),
    "ㅁ": re.compile("(?:이|을|으로|에)?"),
    "ㅂ": re.compile("(?:니다|니까|시다|시오|니다만)"),
    "linked": re.compile(f"(?:서|서는|서도|도|야|요|용|라|라고|야지|서요)?(?:\\s?(?:{AUXILIARY}){BOUND}{CAN}?|\\s?주{OPEN}{CAN}?|\\s?[봤줬뒀놨갔왔졌냈댔댄]{PAST})?"),
    "ㅆ": re.compile(PAST),
}  # fmt: skip
FINALS = {"": 0, "ㄱ": 1, "ㄴ": 4, "ㄷ": 7, "ㄹ": 8, "ㅁ": 16, "ㅂ": 17, "ㅅ": 19, "ㅆ": 20}
VOWELS = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
JOINED = {"ㅏ": "ㅏ", "ㅓ": "ㅓ", "ㅗ": "ㅘ", "ㅜ": "ㅝ", "ㅣ": "ㅕ", "ㅐ": "ㅐ", "ㅔ": "ㅔ", "ㅚ": "ㅙ", "ㅕ": "ㅕ"}


def _syllable(text: str, vowel: str = "", closing: str | None = None) -> str:
    """`text` with another vowel or final consonant in its last syllable."""
    onset, rest = divmod(ord(text[-1]) - 0xAC00, 588)
    nucleus = VOWELS.index(vowel) if vowel else rest // 28
    coda = rest % 28 if closing is None else FINALS[closing]
    return text[:-1] + chr(0xAC00 + onset * 588 + nucleus * 28 + coda)


def _allomorphs(stem: str, irregular: str = "") -> list[tuple[str, str]]:
    """(form, its key in ENDINGS) for a verb or adjective stem: 걸리 gives 걸리-, 걸린, 걸릴, 걸려-, 걸렸- and so on.

    irregular: ㅂ, ㄷ, ㅅ or 르 where the stem is one of those classes; ㄹ, 으 and 하 follow from its spelling.
    """
    coda = (ord(stem[-1]) - 0xAC00) % 28
    vowel = VOWELS[(ord(stem[-1]) - 0xAC00) % 588 // 28]
    bare = _syllable(stem, closing="")
    dropped = bare if coda == FINALS["ㄹ"] else stem
    bright = "ㅏ" if vowel in "ㅏㅗ" else "ㅓ"
    vowelled = "아" if bright == "ㅏ" else "어"
    if irregular == "ㅂ":
        opened, linked = bare + "우", bare + "워"
    elif irregular == "ㄷ":
        turned = _syllable(stem, closing="ㄹ")
        opened, linked = turned + "으", turned + vowelled
    elif irregular == "ㅅ":
        opened, linked = bare + "으", bare + vowelled
    elif coda:
        opened, linked = (stem if coda == FINALS["ㄹ"] else stem + "으"), stem + vowelled
    elif stem[-1] == "하":
        opened, linked = stem, stem[:-1] + "해"
    elif irregular == "르":
        before = VOWELS[(ord(stem[-2]) - 0xAC00) % 588 // 28]
        opened, linked = stem, _syllable(stem[:-1], closing="ㄹ") + ("라" if before in "ㅏㅗ" else "러")
    elif vowel == "ㅡ":
        before = VOWELS[(ord(stem[-2]) - 0xAC00) % 588 // 28] if len(stem) > 1 else ""
        opened, linked = stem, _syllable(stem, "ㅏ" if before in ("ㅏ", "ㅗ") else "ㅓ")
    else:
        opened, linked = stem, _syllable(stem, JOINED[vowel]) if vowel in JOINED else stem + "어"
    closed = dropped if coda == FINALS["ㄹ"] else opened
    forms = [(stem, "stem"), (dropped, "nasal"), (opened, "open"), (closed, "open")]
    forms += [(_syllable(closed, closing=final), final) for final in "ㄴㄹㅁㅂ"]
    forms += [(linked, "linked"), (_syllable(linked, closing="ㅆ"), "ㅆ")]
    if not coda and vowel in "ㅗㅜㅚㅣ":
        forms += [(stem + vowelled, "linked")]  # 보아 beside 봐
    if coda and not irregular and coda != FINALS["ㄹ"]:
        forms += [(stem + "습니", "습니")]
    return forms


ENDINGS["습니"] = re.compile("(?:다|까)")


@lru_cache(maxsize=1)
def conjugated() -> dict[str, list[tuple[str, Entry]]]:
    """The stems of the lexicon's [stem] sections by each form they take: (key in ENDINGS, entry)."""
    forms: dict[str, list[tuple[str, Entry]]] = {}
    for written, entry in stems().items():
        for form, ending in dict.fromkeys(_allomorphs(*written.split("/"))):
            forms.setdefault(form, []).append((ending, entry))
    return forms


def _conjugated_edges(text: str, at: int) -> list[Edge]:
    """Inflected words of the [stem] sections that fill the question from `at` to the end of a word."""
    edges: list[Edge] = []
    for length in range(1, 6):
        for ending, entry in conjugated().get(text[at : at + length], ()):
            for match in _whole(ENDINGS[ending], text, at + length):
                if match == at + 1 and text[at] in _said_alone():
                    continue  # 안 is "not" before it is "hug"
                item = Item(entry, text[at:match], entry.kind, at, match)
                # 들어온 is 들어오- before it is 듣- and 온
                cost = 1.2 - 0.1 * min(match - at, 9) - 0.01 * len(entry.korean)
                edges.append((cost, match, AFTER_WORD if entry.glosses else AFTER_SUFFIX, item))
    return edges


@lru_cache(maxsize=1)
def _said_alone() -> frozenset[str]:
    return frozenset(
        entry.korean for entries in lexicon().values() for _, entry in entries
        if len(entry.korean) == 1 and entry.glosses and not entry.suffix
    )  # fmt: skip


def _whole(pattern: re.Pattern[str], text: str, at: int) -> list[int]:
    """Where the longest run of `pattern` from `at` ends, if a word ends there too."""
    ends = [end for end in range(min(len(text), at + 12), at - 1, -1) if not "가" <= text[end : end + 1] <= "힣"]
    return [end for end in ends if text[end - 1 : end] != " " and pattern.fullmatch(text, at, end)][:1]


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
    ["도", "만", "고", "임", "게", "데", "며", "나", "씩", "째", "요", "다", "란", "든",
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
        edges += _conjugated_edges(text, at)
        person = PERSON_RE.match(text, at)
        # 김남은 may be Kim Nam and a particle: where one fits, nothing says that it is a name
        if person and not (person.group(2) in ("은", "이", "인", "의", "가") and _fits(text[at + 1], person.group(2))):
            edges.append((1.5, person.end(), AFTER_LITERAL, Item(None, person.group(), "name", at, person.end())))
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
    match = TOP_RE.match(text, at)
    if match:
        number = TOPS.get(match.group(1), match.group(1))
        edges.append((0.1, match.end(), AFTER_NUMBER, Item(None, f"top {number}", "top", at, match.end())))
    match = SURNAME_RE.match(text, at) if state == START else None
    if match:
        edges.append((0.1, match.end(), AFTER_WORD, Item(None, match.group(1), "surname", at, match.end())))
    found: list[tuple[int, str | None, float]] = []
    match = NUMBER_RE.match(text, at)
    if match:
        found.append((match.end(), korean_number(match.group(1)), 0.5))
    elif state == START:
        match = SINO_RE.match(text, at)
        if match:
            found.append((match.end(), korean_number(match.group(1)), 0.9))
        match = NATIVE_RE.match(text, at)
        if match and not re.search(r"(^|\s)[안못] $", text[max(at - 3, 0) : at]):  # 안 한 사람 is not one person
            tens, one, alone = match.groups()
            found.append((match.end(), str(TENS.get(tens, 0) + ONES.get(one or alone, 0)), 0.8))
    for end, value, cost in found:
        if value is None:
            continue
        counter = COUNTER_RE.match(text, end)
        if counter and not (counter.group(1) == "강" and cost != 0.5):  # 한강 is a river and a writer
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
