"""Fill a recipe's prompt template with a row. The template's named places are filled in one pass: text from a row is
data, so braces or `$` in it stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from scripts.recipe import Recipe, UserError, load_function, read_text, shown

PLACE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True)
class PromptMaker:
    """A recipe's template, cut at `{answer}`: what stands before it is the prompt, the rest is what is learnt."""

    name: str
    before: str
    after: str
    prepare: Callable[[dict], dict] | None

    @property
    def places(self) -> list[str]:
        """The columns that the prompt needs, in the template's order (those that `prepare` adds included)."""
        return [name for name in dict.fromkeys(PLACE.findall(self.before)) if name != "answer"]

    @property
    def answer_after(self) -> str:
        """The fixed text between the template's last place and the answer."""
        return PLACE.split(self.before)[-1]

    def prompt(self, row: dict) -> str:
        """The text that generation starts from: the exact beginning of `text(row)`."""
        return fill(self.before, self._prepared(row), self.name)

    def text(self, row: dict) -> str:
        """The whole training text of a row, end token included."""
        row = self._prepared(row)
        return fill(self.before, row, self.name) + fill("{answer}" + self.after, row, self.name)

    def _prepared(self, row: dict) -> dict:
        return self.prepare(row) if self.prepare else row


def fill(template: str, row: dict, name: str) -> str:
    """The template with a row's values in its places; `name` is the template's, for the error where one has none."""

    def value(match: re.Match) -> str:
        found = row.get(match[1])
        if found is None:
            raise UserError(
                f"{name}: no value for {{{match[1]}}} in row {row.get('id', '?')!r}; it has {', '.join(row)}"
            )
        return str(found)

    return PLACE.sub(value, template)


def prompt_maker(recipe: Recipe) -> PromptMaker:
    """The recipe's prompt; UserError where the template has no `{answer}` or no fixed text before it."""
    path = recipe.file(recipe.prompt.template)
    template = read_text(path).replace("\r\n", "\n").removesuffix("\n").replace("{end}", recipe.prompt.end)
    before, place, after = template.partition("{answer}")
    if not place or not PLACE.split(before)[-1].strip():
        raise UserError(f"{shown(path)}: expected a fixed line of text, then {{answer}}")
    if not after.startswith(recipe.prompt.end):
        raise UserError(f"{shown(path)}: expected {{end}} right behind {{answer}}: without it the model never stops")
    prepare = recipe.prompt.prepare and load_function(recipe, "prompt.prepare", recipe.prompt.prepare)
    return PromptMaker(shown(path), before, after, prepare or None)
