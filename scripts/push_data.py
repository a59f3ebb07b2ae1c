"""Put the recipe's data set on the Hugging Face Hub, from `hub-data/`, which holds exactly what goes up.

    python -m scripts.push_data RECIPE                                   # builds hub-data/ and says how to push it
    HF_TOKEN=… HUB_REPO=user/name python -m scripts.push_data RECIPE     # pushes it

The folder is that of `make data-card`: the rows, the card, its plots. The token comes from HF_TOKEN or the Hub's own
login, the repo from HUB_REPO or the recipe's `data.card.repo`; HF_ENDPOINT names another Hub. Whether it is private says
`hub.private`.
"""

from __future__ import annotations

import argparse

from scripts.data_card import build, card_of
from scripts.hub import push, repo_name
from scripts.recipe import load_recipe, run_main


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("recipe", help="the recipe's YAML file")
    recipe = load_recipe(parser.parse_args().recipe)
    repo = repo_name(card_of(recipe).repo, "data.card.repo")
    folder = build(recipe, repo)
    command = f"make push-data RECIPE={recipe.shown}"
    push(folder, repo, recipe.hub.private, command, "Upload rows and data card", "dataset")


if __name__ == "__main__":
    run_main(main)
