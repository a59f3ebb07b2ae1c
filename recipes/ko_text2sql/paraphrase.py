"""Say the whole of a question otherwise: clauses moved, particles left out, other words, slips of the finger.

    paraphrase("5만 원 넘는 상품 이름 알려줘", "SELECT name …", domain, values=[], dice=Random(0))

The rules are data, `grammar/paraphrases.yaml`; the engine knows nothing of what they say. The values of the query are
covered while rules work, so that none changes a name or splits it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from random import Random

import yaml

from recipes.ko_text2sql import korean

RULES = Path(__file__).parent / "grammar" / "paraphrases.yaml"
COVERS = 0xE000  # first of the private characters that stand for values
UNITS = "만 원|원|점|명|개|살|세|회|건|시간|분|초|번|일|박|층|권|편|그램|킬로|학점|kg|cm|g"
NUMBER = rf"(?<![\d.,년월~-])(?:\d[\d,]*(?:\.\d+)?[십백천만억]*(?: ?(?:{UNITS}))?)"
DOUBLED = re.compile(
    r"(?<![가-힣])([가-힣]{2,}) \1|별별|좀 좀|\b(한|두|세|네) \2\b"
)  # 의사 의사들, 성별별: said by nobody
_MARK = re.compile("<({})>".format("|".join(form for pair in korean.PAIRS for form in pair)))
_GROUP = re.compile(r"\{(\w+)(?::(\w+))?\}")


@dataclass(frozen=True)
class Rewrite:
    find: re.Pattern[str]
    forms: tuple[str, ...]
    share: float
    when: re.Pattern[str] | None
    unless: re.Pattern[str] | None

    def fits(self, query: str) -> bool:
        return (not self.when or bool(self.when.search(query))) and not (self.unless and self.unless.search(query))


@lru_cache(maxsize=1)
def rules() -> dict:
    loaded = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    for key in ("polite", "casual", "no_front", "no_back"):
        loaded[key] = re.compile(loaded[key])
    return loaded


_REWRITES: dict[int, tuple[dict, tuple[Rewrite, ...]]] = {}


def rewrites(domain: dict) -> tuple[Rewrite, ...]:
    """The rewrites with a domain's own names in them."""
    if id(domain) not in _REWRITES:
        tables = {word for table in domain["tables"].values() for word in table["korean"]}
        columns = {
            word for table in domain["tables"].values() for about in table["columns"].values()
            for word in about.get("korean", ())
        }  # fmt: skip
        # the domain is kept with its entry, so that its id stays its own
        _REWRITES[id(domain)] = domain, tuple(_rewrite(rule, tables, columns) for rule in rules()["rewrites"])
    return _REWRITES[id(domain)][1]


def _rewrite(rule: dict, tables: set[str], columns: set[str]) -> Rewrite:
    unknown = set(rule) - {"find", "forms", "share", "when", "unless"}
    if unknown:
        raise ValueError(f"{RULES.name}: unknown {', '.join(sorted(unknown))} beside {rule.get('find')!r}")
    find = rule["find"].replace("{number}", NUMBER)
    find = find.replace("{table}", _any_of(tables)).replace("{column}", _any_of(columns))
    when, unless = (rule.get(key) and re.compile(rule[key]) for key in ("when", "unless"))
    return Rewrite(re.compile(find), tuple(rule["forms"]), rule.get("share", 0.5), when, unless)


def _any_of(words: set[str]) -> str:
    return "(?<![가-힣A-Za-z0-9])(?:{})".format(
        "|".join(map(re.escape, sorted(words, key=lambda word: (-len(word), word))))
    )


def paraphrase(question: str, query: str, domain: dict, values: list[str], dice: Random) -> str:
    """The question in other words, perhaps the same. `values`: the texts of the query that must stay as they are."""
    covered = sorted({value for value in values if len(value) > 1}, key=lambda value: (-len(value), value))
    text = question
    for number, value in enumerate(covered):
        text = text.replace(value, chr(COVERS + number))
    for rewrite in rewrites(domain):
        if rewrite.fits(query) and dice.random() < rewrite.share:
            text = _rewritten(text, rewrite, covered, dice)
    shares = rules()["shares"]
    if dice.random() < shares["english"]:
        text = _english(text, dice)
    text = marked(text, covered)
    register = "polite" if rules()["polite"].search(text) else "casual" if rules()["casual"].search(text) else "noun"
    if dice.random() < shares["typo"]:
        text = _typo(text, dice)
    if dice.random() < shares["space"]:
        text = _joined(text, dice)
    if dice.random() < shares["front"] and not rules()["no_front"].search(text):
        text = f"{dice.choice(rules()['fronts'][register])} {text}"
    elif dice.random() < shares["back"] and not rules()["no_back"].search(text):
        text = f"{text} {dice.choice(rules()['backs'][register])}"
    return _uncovered(text, covered)


def _rewritten(text: str, rewrite: Rewrite, covered: list[str], dice: Random) -> str:
    match = rewrite.find.search(text)
    if not match:
        return text
    form = _expanded(dice.choice(rewrite.forms), match)
    if form is None:
        return text
    old, new = (marked(_uncovered(part, covered), covered) for part in (match.group(), form))
    return text[: match.start()] + form + korean.refit(old, new, text[match.end() :])


def _expanded(form: str, match: re.Match) -> str | None:
    """A form with its groups filled in; None where a number can't be spelled as it asks."""
    missing = False

    def part(group: re.Match) -> str:
        nonlocal missing
        text = match[group[1]] or ""
        if group[2]:
            text = _spelled(text, group[2])
            missing = missing or text is None
        return text or ""

    filled = _GROUP.sub(part, form)
    return None if missing else filled


def _spelled(text: str, style: str) -> str | None:
    if style == "digits":
        return str(korean.read_native(text))
    value = int(text.replace(",", ""))
    return korean.spell_native(value) if style == "native" else korean.spell_mixed(value)


def marked(text: str, covered: list[str]) -> str:
    """Particle marks as the particles that fit."""
    while mark := _MARK.search(text):
        pair = next(pair for pair in korean.PAIRS if mark[1] in pair)
        before = _uncovered(text[: mark.start()], covered)
        text = text[: mark.start()] + korean.particle(before, pair) + text[mark.end() :]
    return text


def _uncovered(text: str, covered: list[str]) -> str:
    for number, value in enumerate(covered):
        text = text.replace(chr(COVERS + number), value)
    return text


def _english(text: str, dice: Random) -> str:
    table = rules()["english"]
    found = [(m.start(), m.end()) for word in table for m in re.finditer(rf"(?<![가-힣]){word}(?![가-힣]{{2}})", text)]
    if not found:
        return text
    start, end = dice.choice(sorted(found))
    word, reading = table[text[start:end]]
    return text[:start] + word + korean.refit(text[start:end], reading, text[end:])


def _typo(text: str, dice: Random) -> str:
    found = [(right, wrong) for right, wrong in rules()["typos"] if right in text]
    if not found:
        return text
    right, wrong = dice.choice(found)
    return wrong.join(text.rsplit(right, 1))


def _joined(text: str, dice: Random) -> str:
    """One space between two words left out."""
    places = [match.start() for match in re.finditer(r"(?<=[가-힣]) (?=[가-힣])", text)]
    if not places:
        return text
    at = dice.choice(places)
    return text[:at] + text[at + 1 :]
