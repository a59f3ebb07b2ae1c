"""Korean as rows need it: particles that fit the sound before them, and numbers in digits and in words."""

from __future__ import annotations

import re
from dataclasses import dataclass

# (after a consonant, after a vowel). A longer one stands before its own beginning.
PAIRS = (
    ("이었", "였"), ("이면서", "면서"), ("이라는", "라는"), ("이라도", "라도"), ("이라서", "라서"), ("이라면", "라면"),
    ("이지만", "지만"), ("이거나", "거나"), ("이에요", "예요"), ("으로", "로"), ("이나", "나"), ("이랑", "랑"),
    ("이란", "란"), ("이라", "라"), ("이고", "고"), ("이며", "며"), ("이면", "면"), ("이든", "든"), ("이야", "야"), ("이죠", "죠"),
    ("을", "를"), ("이", "가"), ("은", "는"), ("과", "와"),
)  # fmt: skip
UNCHANGING = [
    "에서는",
    "에서도",
    "에서만",
    "에게서",
    "에서",
    "에게",
    "에는",
    "에도",
    "에만",
    "에",
    "의",
    "한테서",
    "한테",
    "께서",
    "께",
    "도",
    "만",
    "부터",
    "까지",
    "보다도",
    "보다는",
    "보다",
    "처럼",
    "마다",
    "별로",
    "별",
    "하고",
    "인데",
    "인",
    "일",
    "씩",
    "쯤",
    "대로",
    "밖에",
    "뿐",
    "엔",
    "님",
    "씨",
    "형",
    "급",
    "짜리",
]
_VARYING = "|".join(sorted({form for pair in PAIRS for form in pair}, key=lambda form: (-len(form), form)))
_FIXED = "|".join(sorted(UNCHANGING, key=lambda form: (-len(form), form)))
_TAIL = r"(?:은|는|도|만|요|서|써|의|이|가|을|를|로|다)?(?![가-힣A-Za-z0-9])"
# What may follow a word that is to be exchanged: nothing, or a particle that can be made to fit.
CONTINUES = re.compile(rf"(?:들)?(?:(?:{_VARYING}|{_FIXED}){_TAIL}|들{_TAIL}|요(?![가-힣])|(?![가-힣A-Za-z0-9]))")
_PARTICLE = re.compile(rf"({_VARYING}){_TAIL}")
_LETTER_FINALS = {"L": "ㄹ", "M": "ㅁ", "N": "ㄴ", "R": "ㄹ"}
_DIGIT_FINALS = {"0": "ㅇ", "1": "ㄹ", "3": "ㅁ", "6": "ㄱ", "7": "ㄹ", "8": "ㄹ"}


def final(text: str) -> str:
    """The final consonant of the last sound, '' after a vowel; digits and Latin letters as Koreans read them.

    ㄹ is told apart, other consonants may come as any consonant. Latin words are read by their spelling, roughly.
    """
    text = text.rstrip("'\")]}’”」 ")
    last = text[-1:]
    if "가" <= last <= "힣":
        jong = (ord(last) - 0xAC00) % 28
        return "" if jong == 0 else "ㄹ" if jong == 8 else "ㄱ"
    if last.isdigit():
        return _DIGIT_FINALS.get(last, "")
    if last.isupper():
        return _LETTER_FINALS.get(last, "")
    if text.endswith(("l", "le")):
        return "ㄹ"
    return "ㄴ" if text.endswith(("m", "n", "ng")) else ""


def particle(before: str, pair: tuple[str, str]) -> str:
    """The form of a particle pair that fits after `before`: 으로 turns 로 after ㄹ too."""
    end = final(before)
    return pair[1] if not end or (pair[0] == "으로" and end == "ㄹ") else pair[0]


def refit(old: str, new: str, following: str) -> str:
    """`following` with its leading particle, which fitted `old`, made to fit `new`."""
    quote = re.match(r"['\"’”]?", following)[0]
    match = _PARTICLE.match(following, len(quote))
    if not match or following.startswith("들"):
        return following
    for pair in PAIRS:
        if match.group(1) in pair and particle(old, pair) == match.group(1):
            return quote + particle(new, pair) + following[match.end(1) :]
    return following


def copula(before: str, ending: str) -> str:
    """`(이)야` as 이야 or 야, by the sound before it."""
    return re.sub(r"\(이\)", "이" if final(before) else "", ending).replace("이예요", "이에요")


# --- numbers -------------------------------------------------------------------------------------------------------
UNITS = {"십": 10, "백": 100, "천": 1000, "만": 10**4, "억": 10**8}
SINO = {syllable: digit for digit, syllable in enumerate("일이삼사오육칠팔구", 1)}
TENS = {"열": 10, "스물": 20, "서른": 30, "마흔": 40, "쉰": 50, "예순": 60, "일흔": 70}
ONES = {"한": 1, "두": 2, "세": 3, "네": 4, "다섯": 5, "여섯": 6, "일곱": 7, "여덟": 8, "아홉": 9}
BARE = {"하나": 1, "둘": 2, "셋": 3, "넷": 4}
COUNTERS = [
    "명",
    "분",
    "사람",
    "개",
    "건",
    "번",
    "살",
    "권",
    "편",
    "대",
    "장",
    "곡",
    "병",
    "시간",
    "주",
    "달",
    "군데",
    "곳",
    "가지",
    "종류",
    "차례",
    "회",
    "팀",
    "줄",
    "마리",
    "과목",
    "항목",
    "경기",
    "글",
    "원",
    "점",
    "석",
    "세",
    "년",
    "일",
    "박",
    "층",
    "초",
    "그램",
]
_COUNTER = rf"(?=\s?(?:{'|'.join(COUNTERS)}))"
_NATIVE = rf"(?:스무|(?:{'|'.join(TENS)})(?:{'|'.join(ONES)})?|{'|'.join(ONES)})"
NUMBER = re.compile(
    rf"(?<![A-Za-z0-9.,:-])(?P<digits>\d[\d,]*(?:\.\d+)?)(?P<unit>[십백천만억]*)(?P<more>\s?\d+[백천만](?!\w))?"
    rf"|(?<![가-힣])(?P<native>{_NATIVE}){_COUNTER}"
    rf"|(?<![가-힣])(?P<tens>{'|'.join(list(TENS)[1:])})(?:{'|'.join(ONES)})?(?=\s?(?:넘|이상|이하|미만|초과|에서|안|도))"
    rf"|(?<![가-힣])(?P<bare>{'|'.join(BARE)})(?=\s?(?:이상|이하|만|넘|$))"
    rf"|(?<![가-힣])(?P<sino>[일이삼사오육칠팔구]?[십백천만억][일이삼사오육칠팔구십백천만억]*)(?=\s?(?:원|점|명|개|석|건|시간|회|이상|이하|넘))"
)


@dataclass(frozen=True)
class Number:
    """A number as a question spells it, from `start` to `end`. style: 'digits', 'comma', 'native', 'bare', 'sino', a unit such as 만, or '' (only to be read)."""

    start: int
    end: int
    value: float
    style: str


def numbers(text: str) -> list[Number]:
    """The numbers in a text, in order."""
    found = []
    for match in NUMBER.finditer(text):
        digits, unit = match["digits"], match["unit"] or ""
        if digits:
            plain = digits.rstrip(",")
            if match["more"]:
                value, style, end = (
                    read_sino(plain + unit) + read_sino(match["more"].strip()),
                    "",
                    match.end(),
                )
            else:
                value, end = (
                    read_sino(plain + unit),
                    match.end() - (len(digits) - len(plain) if not unit else 0),
                )
                style = unit or ("comma" if "," in plain else "digits")
        else:
            end, text_of = match.end(), match.group()
            style = next(kind for kind in ("native", "tens", "bare", "sino") if match[kind])
            value = read_sino(text_of) if style == "sino" else read_native(text_of)
            style = "native" if style == "tens" else style
        found.append(Number(match.start(), end, value, style))
    return found


def read_native(text: str) -> int:
    """서른다섯 is 35."""
    if text in BARE:
        return BARE[text]
    if text == "스무":
        return 20
    ten = next((ten for ten in TENS if text.startswith(ten)), "")
    return TENS.get(ten, 0) + ONES.get(text.removeprefix(ten), 0)


def read_sino(text: str) -> float:
    """3만, 천만, 이십만, 1,200, 4.5 as numbers."""
    total = section = 0.0
    current: float | None = None
    for part in re.findall(r"\d[\d,]*(?:\.\d+)?|[가-힣]", text):
        if part[0].isdigit():
            current = float(part.replace(",", ""))
        elif part in SINO:
            current = float(SINO[part])
        elif UNITS[part] >= 10**4:
            total += ((section + (current or 0)) or 1) * UNITS[part]
            section, current = 0.0, None
        else:
            section += (1 if current is None else current) * UNITS[part]
            current = None
    return round(total + section + (current or 0), 6)


def spell(value: float, style: str) -> str | None:
    """A number in one of the styles of `Number`; None where it can't be spelled so."""
    whole = int(value) if value == int(value) else None
    if style == "digits":
        return str(whole if whole is not None else value)
    if whole is None or whole <= 0:
        return None
    if style == "comma":
        return f"{whole:,}"
    if style == "native":
        return spell_native(whole)
    if style == "bare":
        return next((word for word, number in BARE.items() if number == whole), None)
    if style == "sino":
        return spell_sino(whole)
    unit = int(read_sino("1" + style)) if style else 0
    most = 9 if style[:1] in ("십", "백", "천") else 9999  # 8천만, but 1억 2천만 instead of 12천만
    if not unit or whole % unit or whole // unit > most:
        return None
    return f"{whole // unit}{style}"


def spell_native(value: int) -> str | None:
    """Before a counter: 한, 스무, 서른다섯. Up to 79, as far as people count so."""
    if not 0 < value < 80:
        return None
    if value == 20:
        return "스무"
    ten = next((word for word, number in TENS.items() if number == value // 10 * 10), "")
    return ten + next((word for word, number in ONES.items() if number == value % 10), "")


def spell_sino(value: int) -> str | None:
    """One leading digit only: 만, 오만, 이십만, 삼백만, 천만."""
    zeros = len(str(value)) - 1
    if zeros < 1 or zeros > 8 or value % 10**zeros:
        return None
    digit = value // 10**zeros
    units = ("", "십", "백", "천", "만", "십만", "백만", "천만", "억")[zeros]
    lead = next((word for word, number in SINO.items() if number == digit and digit > 1), "")
    return lead + units


def spell_mixed(value: int) -> str | None:
    """As sums of money are written: 3만 5천, 12만, 1억 2천만; None where less than a thousand is left over."""
    if value < 10000 or value % 1000 or value >= 10**12:
        return None
    parts = []
    for size, unit in ((10**8, "억"), (10**4, "만")):
        count, value = divmod(value, size)
        if count >= 1000 and count % 1000 == 0:
            parts.append(f"{count // 1000}천{unit}")
        elif count:
            parts.append(f"{count}{unit}")
    return " ".join(parts + ([f"{value // 1000}천"] if value else []))
