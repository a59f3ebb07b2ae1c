"""Stage 7, push: put the adapter on the Hugging Face Hub, from `hub/`, which holds exactly what goes up.

    python -m scripts.push RECIPE                                   # builds hub/ and says how to push it
    HF_TOKEN=… HUB_REPO=user/name python -m scripts.push RECIPE     # pushes it

The token comes from HF_TOKEN or the Hub's own login (`hf auth login`), the repo from HUB_REPO or the recipe's
`hub.repo`; HF_ENDPOINT names another Hub. Files are picked by name: checkpoints, pickles and training data stay here.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from scripts.generate import adapter_of
from scripts.hub import MACHINE_PATH, push, repo_name
from scripts.model_card import model_card
from scripts.models import EMBEDDED_MODELS
from scripts.recipe import EMBEDDED, Recipe, UserError, load_recipe, run_main, shown
from scripts.runs import Step, digest, sha256

WEIGHTS = "adapter_model.safetensors"
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
OPTIONAL = ("chat_template.jinja",)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("recipe", help="the recipe's YAML file")
    recipe = load_recipe(parser.parse_args().recipe)
    repo = repo_name(recipe.hub.repo, "hub.repo")
    folder = build(recipe, repo)
    push(folder, repo, recipe.hub.private, f"make push RECIPE={recipe.shown}", "Upload adapter and model card")


def build(recipe: Recipe, repo: str | None) -> Path:
    """Fill `runs/<task>/<recipe>/hub/` and return it; nothing is written when it already holds just that.

    Raises UserError when the adapter or a file of its tokenizer is missing, or was trained with other settings.
    """
    adapter, folder = adapter_of(recipe), recipe.run / "hub"
    check_adapter(recipe, adapter)
    base = {"base_model_name_or_path": hub_base(recipe)}
    texts = {
        "adapter_config.json": clean_json(adapter / "adapter_config.json", base),
        "tokenizer_config.json": clean_json(adapter / "tokenizer_config.json", {}),
        "README.md": model_card(recipe, repo, hub_base(recipe), *scores(recipe, adapter)),
    }
    copies = [WEIGHTS, *(name for name in TOKENIZER if name not in texts)]
    copies += [name for name in OPTIONAL if (adapter / name).is_file()]
    made_from = {name: sha256(adapter / name) for name in copies}
    made_from |= {name: digest(text) for name, text in texts.items()}
    step = Step(folder.with_name("hub.manifest.json"), made_from, [folder / name for name in sorted(made_from)])
    # A file more would go up with the rest.
    if step.fresh() and sorted(path.name for path in folder.iterdir()) == sorted(made_from):
        print(f"{shown(folder)}: nothing has changed")
        return folder
    part = folder.with_name("hub.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for name in copies:
        shutil.copyfile(adapter / name, part / name)
    for name, text in texts.items():
        (part / name).write_text(text, encoding="utf-8", newline="\n")
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)
    step.finish()
    return folder


def check_adapter(recipe: Recipe, adapter: Path) -> None:
    from safetensors import SafetensorError, safe_open

    again = f"`make train RECIPE={recipe.shown}` makes it"
    for name in ("adapter_config.json", *TOKENIZER):
        if not (adapter / name).is_file():
            raise UserError(f"{shown(adapter / name)}: no such file; {again}")
    try:
        with safe_open(adapter / WEIGHTS, framework="np") as file:
            names = list(file.keys())
    except SafetensorError as error:
        raise UserError(f"{shown(adapter / WEIGHTS)}: not a whole safetensors file ({error}); {again}") from None
    if not names:
        raise UserError(f"{shown(adapter / WEIGHTS)}: holds no weights; {again}")
    # The card tells the recipe's settings: they must be those that the adapter was trained with.
    trained = read_json(recipe.run / "train" / "manifest.json").get("inputs", {})
    now = {"model": recipe.model, "train": digest(recipe.train.model_dump())}
    changed = [key for key, value in now.items() if trained.get(key, value) != value]
    if changed:
        raise UserError(
            f"{shown(adapter)}: trained before `{'`, `'.join(changed)}` changed in {recipe.shown}; "
            f"train again (`make train RECIPE={recipe.shown}`) or undo the change"
        )


def hub_base(recipe: Recipe) -> str | None:
    """The base model's Hub id; None for a local folder, whose name means nothing on another machine."""
    name = recipe.model
    if name.startswith(EMBEDDED):
        known = EMBEDDED_MODELS.get(name.removeprefix(EMBEDDED))
        if known is None:
            raise UserError(f"{recipe.shown}: model: no embedded model {name.removeprefix(EMBEDDED)!r}")
        return known.hub_id
    return None if name.startswith((".", "/", "~")) or name.count("/") != 1 else name


def clean_json(path: Path, changes: dict) -> str:
    """A JSON file's text with `changes` made and every value that is a path of this machine set to null."""

    def cleaned(value):
        if isinstance(value, dict):
            return {key: cleaned(item) for key, item in value.items()}
        if isinstance(value, list):
            return [cleaned(item) for item in value]
        return None if isinstance(value, str) and MACHINE_PATH.fullmatch(value) else value

    content = read_json(path)
    if not content:
        raise UserError(f"{shown(path)}: not readable as JSON; `make train` makes it")
    return json.dumps(cleaned(content) | changes, indent=2, ensure_ascii=False) + "\n"


def scores(recipe: Recipe, adapter: Path) -> tuple[dict, str]:
    """The report's summary.json and summary.txt; empty when there is none, or when it is about an earlier adapter."""
    report = recipe.run / "report"
    summary = read_json(report / "summary.json")
    answered = read_json(recipe.run / "generate" / "tuned.jsonl.manifest.json").get("inputs", {}).get("adapter")
    if summary and answered and answered != sha256(adapter / WEIGHTS):
        print(f"the report is about an earlier adapter; its scores stay out (`make report RECIPE={recipe.shown}`)")
        return {}, ""
    text = report / "summary.txt"
    return summary, text.read_text(encoding="utf-8") if summary and text.is_file() else ""


def read_json(path: Path) -> dict:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


if __name__ == "__main__":
    run_main(main)
