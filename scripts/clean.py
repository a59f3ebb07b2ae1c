"""Remove what a recipe's run has made: `runs/<task>/<recipe>/`. The converted base models stay.

python -m scripts.clean recipes/ko_text2sql/smoke.yaml
"""

from __future__ import annotations

import argparse
import shutil

from scripts.recipe import load_recipe, run_main, shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("recipe", help="the recipe's YAML file")
    folder = load_recipe(parser.parse_args().recipe).run
    shutil.rmtree(folder, ignore_errors=True)
    print(f"removed {shown(folder)}")


if __name__ == "__main__":
    run_main(main)
