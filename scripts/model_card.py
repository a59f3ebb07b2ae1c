"""The model card of an adapter: Markdown with the Hub's YAML front matter, made from the recipe and the report."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

import yaml

from scripts.models import EMBEDDED_MODELS
from scripts.recipe import EMBEDDED, Recipe

LOAD = """\
```python
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer{imports}

tokenizer = AutoTokenizer.from_pretrained("{repo}")
model = AutoModelForCausalLM.from_pretrained("{base}", {options})
model = PeftModel.from_pretrained(model, "{repo}").eval()

prompt = "…"  # as below, up to where the answer starts
tokens = tokenizer(prompt, return_tensors="pt").to(model.device)
made = model.generate(**tokens, max_new_tokens={max_new_tokens}, do_sample=False)
print(tokenizer.decode(made[0, tokens["input_ids"].shape[1]:], skip_special_tokens=True))
```"""
QUANTIZED = {
    "int4": 'BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16)',
    "int8": "BitsAndBytesConfig(load_in_8bit=True)",
}


def model_card(recipe: Recipe, repo: str | None, base: str | None, summary: dict, text: str = "") -> str:
    """The README.md of the adapter's repo.

    `repo` and `base` are Hub ids, None where there is none (yet). `summary` is the content of report/summary.json,
    empty when nothing has been judged; `text` that of report/summary.txt, which also says what has to be said about
    the scores, such as which judge gave them, and so stands first.
    """
    head: dict[str, Any] = {"library_name": "peft", "license": recipe.hub.license, "pipeline_tag": "text-generation"}
    head |= {"base_model": base} if base else {}
    head |= {"datasets": [recipe.data.hub.path]} if recipe.data.hub else {}
    head["tags"] = ["lora"]
    train = yaml.safe_dump(recipe.train.model_dump(mode="json"), allow_unicode=True, sort_keys=False).rstrip()
    parts = [
        f"---\n{yaml.safe_dump(head, allow_unicode=True, sort_keys=False)}---",
        f"# {one_line(recipe.title)}",
        f"An adapter for {base_named(recipe, base)}, trained for the task `{recipe.task}` "
        f"by the recipe `{recipe.name}`.",
        "## Scores",
        *([f"```text\n{text.rstrip()}\n```"] if text else []),
        score_table(summary) if summary else "Not judged yet.",
        "## How to load it",
        load_code(recipe, repo or "user/name", base or "path/of/the/base/model"),
        "## Prompt",
        prompt_text(recipe),
        "## How it was trained",
        f"With `autotrain llm`; the recipe's `train` section with every default filled in:\n\n```yaml\n{train}\n```",
    ]
    return "\n\n".join(parts) + "\n"


def base_named(recipe: Recipe, base: str | None) -> str:
    if base and recipe.model.startswith(EMBEDDED):
        package = EMBEDDED_MODELS[recipe.model.removeprefix(EMBEDDED)].distribution
        return f"{linked(base)} (trained on the 4-bit copy in the Python package `{package}`)"
    if base:
        return linked(base)
    return f"the base model `{PurePath(recipe.model).name}`, which is a local folder and not on the Hub"


def linked(base: str) -> str:
    return f"[{base}](https://huggingface.co/{base})"


def load_code(recipe: Recipe, repo: str, base: str) -> str:
    quantized = QUANTIZED.get(recipe.train.quantization or "")
    return LOAD.format(
        imports=", BitsAndBytesConfig" if quantized else "",
        repo=repo,
        base=base,
        options=f"quantization_config={quantized}" if quantized else "dtype=torch.float32",
        max_new_tokens=recipe.generate.max_new_tokens,
    )


def prompt_text(recipe: Recipe) -> str:
    template = recipe.file(recipe.prompt.template).read_text(encoding="utf-8").removesuffix("\n")
    text = "A row's values stand in for the names in braces; generation starts where `{answer}` stands"
    text += f" and ends with `{recipe.prompt.end}`.\n\n````\n{template.replace('{end}', recipe.prompt.end)}\n````"
    if recipe.prompt.prepare:
        text += f"\n\nThe recipe prepares a row before that (`{recipe.prompt.prepare}`)."
    if recipe.generate.grammar:
        text += f"\n\nThe scores are of answers kept to a grammar made for each row (`{recipe.generate.grammar}`)."
    if recipe.generate.finish:
        text += f"\n\nWhat the model writes is not the prediction yet: `{recipe.generate.finish}` makes it of that."
    return text


def score_table(summary: dict) -> str:
    """Every number of the summary as a row of a table, named by the keys that lead to it."""
    rows = [f"| {' · '.join(keys)} | {value} |" for keys, value in leaves(summary)]
    return "\n".join(["| | |", "|---|---|", *rows])


def leaves(value: Any, keys: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], str]]:
    """The numbers in nested dicts with their keys; two or three numbers in a list count as one value, an interval.

    Texts and longer lists are left out: rows, paths and file names have no place on a card.
    """
    if isinstance(value, dict):
        return [leaf for key, item in value.items() for leaf in leaves(item, (*keys, one_line(key).replace("|", "/")))]
    if is_number(value):
        return [(keys, number(value))]
    if isinstance(value, list) and 2 <= len(value) <= 3 and all(map(is_number, value)):
        return [(keys, " – ".join(map(number, value)))]
    return []


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def number(value: int | float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.4g}"


def one_line(text: object) -> str:
    return " ".join(str(text).split())
