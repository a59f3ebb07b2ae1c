"""Stage 7, push: put the adapter on the Hugging Face Hub, from `hub/`, which holds exactly what goes up.

    python -m scripts.push RECIPE                                   # builds hub/ and says how to push it
    HF_TOKEN=… HUB_REPO=user/name python -m scripts.push RECIPE     # pushes it

The token comes from HF_TOKEN or the Hub's own login (`hf auth login`), the repo from HUB_REPO or the recipe's
`hub.repo`; HF_ENDPOINT names another Hub. Files are picked by name: checkpoints, pickles and training data stay here.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
from pathlib import Path

from scripts.generate import adapter_of
from scripts.model_card import model_card
from scripts.models import EMBEDDED_MODELS
from scripts.recipe import EMBEDDED, Recipe, UserError, load_recipe, run_main, shown
from scripts.runs import Step, digest, sha256

WEIGHTS = "adapter_model.safetensors"
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
OPTIONAL = ("chat_template.jinja",)
MACHINE_PATH = re.compile(r"(file://|~?/|\\\\|[A-Za-z]:[\\/])[^\s{}|<>]+")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("recipe", help="the recipe's YAML file")
    recipe = load_recipe(parser.parse_args().recipe)
    # Names may be pasted with spaces; an empty variable counts as unset.
    repo = os.environ.get("HUB_REPO", "").strip() or recipe.hub.repo
    if repo:
        check_repo_name(repo)
    folder = build(recipe, repo)
    token = find_token() if repo else None
    if repo and token:
        url = upload(folder, repo, token, recipe.hub.private)
        print(f"pushed: {url} ({'private' if recipe.hub.private else 'public'})")
    else:
        missing = "no repo name" if not repo else "no token"
        print(f"not pushed ({missing}). To push it:")
        print(f"  HF_TOKEN=… HUB_REPO={repo or 'user/name'} make push RECIPE={recipe.shown}")
        print("or log in once with `hf auth login` and leave HF_TOKEN out; the token needs write access")


def check_repo_name(repo: str) -> None:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise UserError(f"HUB_REPO or hub.repo: {first_sentence(error)}") from None
    if "/" not in repo:
        raise UserError(f"HUB_REPO or hub.repo: expected user/name, got {repo!r}")


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


def find_token() -> str | None:
    from huggingface_hub import get_token

    token = get_token()
    # The HTTP library quotes a header that it can't send, token and all, in its error.
    if token and not re.fullmatch(r"[!-~]+", token):
        raise UserError("the Hub token (HF_TOKEN or login) has a space or a non-ASCII character in it; paste it again")
    return token


def upload(folder: Path, repo: str, token: str, private: bool) -> str:
    """Create `repo` if need be, commit the folder's files to it in one commit, and return its address.

    Raises UserError with one line, never with the token, when the Hub refuses or can't be reached; also when the
    repo is public and the recipe wants it private, before anything has gone up.
    """
    import requests
    from huggingface_hub import HfApi
    from huggingface_hub.errors import OfflineModeIsEnabled

    api = HfApi(token=token)
    try:
        api.create_repo(repo, private=private, exist_ok=True)
        # An existing repo keeps its own setting, whatever was asked for.
        if private and api.model_info(repo).private is False:
            raise UserError(
                f"{repo} is public, but the recipe says hub.private: true; nothing was pushed. "
                "Set hub.private: false, or take another repo name"
            )
        names = sorted(path.name for path in folder.iterdir())
        api.upload_folder(
            repo_id=repo, folder_path=folder, allow_patterns=names, commit_message="Upload adapter and model card"
        )
    except UserError:
        raise
    except OfflineModeIsEnabled:
        raise UserError("HF_HUB_OFFLINE is set, so nothing can be pushed; unset it") from None
    # ValueError: the Hub refused the card's metadata or an upload. RuntimeError: the upload of one file failed,
    # for the reason in its cause.
    except (requests.RequestException, OSError, ValueError, RuntimeError) as error:
        if type(error) is RuntimeError:
            print(file=sys.stderr)  # the upload's progress bar still holds the line
        reason = explain(error, repo, api.endpoint).replace(token, "***")
        raise UserError(f"not pushed: {reason}") from None
    return f"{api.endpoint}/{repo}"


def explain(error: BaseException, repo: str, endpoint: str) -> str:
    """One line for what the Hub or the network said."""
    import requests

    if type(error) is RuntimeError and error.__cause__ is not None:
        error = error.__cause__
    response = getattr(error, "response", None)
    status = response.status_code if response is not None else None
    if status == 401:
        return f"{endpoint} does not accept the token (401); make one with write access and set HF_TOKEN to it"
    if status == 403:
        return f"the token may not write to {repo} (403); it needs write access to {repo.split('/')[0]!r}"
    if status == 404:
        return f"{endpoint} knows no {repo}, or the token may not see it (404); check HUB_REPO and HF_ENDPOINT"
    if status is not None:
        said = getattr(error, "server_message", None) or response.reason
        return f"{endpoint} answered {status}: {first_sentence(said)}"
    if isinstance(error, requests.exceptions.JSONDecodeError):
        return f"{endpoint} gave an answer that is not the Hub's; check HF_ENDPOINT"
    if isinstance(error, (requests.ConnectionError, requests.Timeout, ConnectionError)):
        return f"can't reach {endpoint}; check the network, the proxy and HF_ENDPOINT, then run the same command again"
    return f"{type(error).__name__}: {first_sentence(error)}"


def first_sentence(said: object) -> str:
    return " ".join(str(said).split())[:300]


if __name__ == "__main__":
    run_main(main)
