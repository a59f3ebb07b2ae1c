"""Stage 6, report: what the verdicts say, base beside tuned: `report/summary.json` and `report/report.html`.

    python -m scripts.report recipes/ko_text2sql/smollm2-135m-cpu.yaml

The page is one file without scripts or outside parts: mail it, or open it from a USB stick. `summary.json` holds the
numbers, `summary.txt` what the terminal shows. Unscored rows are counted apart and are in no rate.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import unicodedata
from collections import Counter
from pathlib import Path

from scripts.generate import MODELS
from scripts.recipe import Recipe, UserError, load_recipe, run_main, shown
from scripts.runs import Step, digest, sha256, written_last

MEASURES = {"execution": "Execution accuracy", "exact": "Exact match", "llm": "LLM judge"}
VERDICTS = ("yes", "no", "unscored")
STAGES = ("data", "format", "train", "generate", "judge")
# What the page is made of, in the order in which the stages make it, so the first one missing names the next command.
INPUTS = [
    *(f"{stage}/manifest.json" for stage in ("data", "format", "train")),
    "train/loss.json",
    *(f"generate/{model}.jsonl.manifest.json" for model in MODELS),
    *(f"judge/{model}/{file}" for model in MODELS for file in ("verdicts.csv", "manifest.json")),
]
PAGE = Path(__file__).with_name("report.html.jinja")
FAILURES = 10
STAND_IN = "local-execution"  # the name under which the judge's local stand-in answers
STAND_IN_NOTE = (
    "the LLM-judge column was answered by the local stand-in from execution, so its agreement with execution"
    " holds by construction and says nothing about a language model."
)
# Ink, paper, base, tuned: the page's own colours, so that the plots lie flat on it.
COLOURS = {"light": ("#1d2329", "#ffffff", "#9aa4af", "#2463c9"), "dark": ("#e4e8ec", "#15191d", "#6b7682", "#6aa5ff")}

Row = dict[str, str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("recipe", help="the recipe's YAML file")
    recipe = load_recipe(parser.parse_args().recipe)
    folder = recipe.run / "report"
    step = report_step(recipe, folder)
    if step.fresh():
        step.say_fresh()
        return print((folder / "summary.txt").read_text(encoding="utf-8"), end="")
    verdicts = {model: read_verdicts(recipe, model) for model in MODELS}
    check_same_rows(recipe, verdicts)
    summary = summarise(recipe, verdicts, stage_seconds(recipe))
    if others := other_rows(recipe):
        summary["other_rows"] = others
    history = json.loads((recipe.run / "train" / "loss.json").read_text(encoding="utf-8"))
    plots = {"scores": draw_scores(summary), "loss": draw_loss(history)}
    for name, plot in plots.items():
        with written_last(folder / f"{name}.png", "wb") as file:
            file.write(plot["light"])
    text = in_short(recipe, summary, stand_in_note(verdicts))
    for name, content in (
        ("report.html", page(recipe, verdicts, summary, history, plots)),
        ("summary.txt", text),
        ("summary.json", json.dumps(summary, indent=2) + "\n"),
    ):
        with written_last(folder / name) as file:
            file.write(content)
    print(text, end="")
    step.finish()


def report_step(recipe: Recipe, folder: Path) -> Step:
    for name in INPUTS:
        if not (recipe.run / name).is_file():
            target = f"make {name.split('/')[0]} RECIPE={recipe.shown}"
            raise UserError(f"{shown(recipe.run / name)}: no such file; `{target}` makes it")
    made_from = {name: sha256(recipe.run / name) for name in INPUTS}
    made_from["other rows"] = digest(other_rows(recipe))
    made_from["page"] = digest([sha256(PAGE), sha256(Path(__file__))])
    made_from["recipe"] = digest([recipe.title, recipe.model, recipe.generate.column, recipe.judge.model_dump()])
    names = ("summary.json", "summary.txt", "scores.png", "loss.png", "report.html")
    return Step(folder / "manifest.json", made_from, [folder / name for name in names])


def read_verdicts(recipe: Recipe, model: str) -> dict[str, Row]:
    """The lines of one model's verdicts.csv by id; a measure that was not taken of a row counts as unscored."""
    from judge.results import read_verdicts as read

    path, again = recipe.run / "judge" / model / "verdicts.csv", f"`make judge RECIPE={recipe.shown}` makes it anew"
    rows = read(path)
    needed = ["id", recipe.generate.column, "judge_model", *recipe.judge.verdicts.values()]
    if not rows or (missing := [name for name in needed if name not in rows[0]]):
        raise UserError(f"{shown(path)}: {f'no column {missing[0]!r}' if rows else 'no rows'}; {again}")
    for number, row in enumerate(rows, 1):
        for column in recipe.judge.verdicts.values():
            row[column] = row[column] or "unscored"
            if row[column] not in VERDICTS:
                raise UserError(f"{shown(path)}: row {number}: {column} is {row[column]!r}, not yes, no or unscored")
    by_id = {row["id"]: row for row in rows}
    if len(by_id) < len(rows):
        twice = Counter(row["id"] for row in rows).most_common(1)[0][0]
        raise UserError(f"{shown(path)}: id {twice!r} stands there twice; {again}")
    return by_id


def check_same_rows(recipe: Recipe, verdicts: dict[str, dict[str, Row]]) -> None:
    if odd := sorted(verdicts["base"].keys() ^ verdicts["tuned"].keys()):
        has = next(model for model in MODELS if odd[0] in verdicts[model])
        raise UserError(
            f"{shown(recipe.run / 'judge')}: id {odd[0]!r} is only in {has}/verdicts.csv ({len(odd)} such ids);"
            f" `make generate judge RECIPE={recipe.shown}` answers the same rows with both models"
        )


def stage_seconds(recipe: Recipe) -> dict[str, float]:
    seconds = dict.fromkeys(STAGES, 0.0)
    for name in INPUTS:
        if name.endswith("manifest.json"):
            seconds[name.split("/")[0]] += json.loads((recipe.run / name).read_text(encoding="utf-8"))["seconds"]
    return {stage: round(spent, 1) for stage, spent in seconds.items()}


def other_rows(recipe: Recipe) -> dict[str, dict]:
    """Scores on other rows than the test rows (`make score`), by the name of their file: those of each model."""
    files = sorted((recipe.run / "score").glob("*/score.json"))
    return {path.parent.name: json.loads(path.read_text(encoding="utf-8"))["models"] for path in files}


def measures_of(recipe: Recipe) -> dict[str, str]:
    """The column of each measure that the recipe asks for, the most telling first."""
    return {name: recipe.judge.verdicts[name] for name in MEASURES if name in recipe.judge.verdicts}


def score(verdicts: list[str]) -> dict:
    """correct, n (without the unscored), rate (None if nothing was scored), its 95 % Wilson interval, unscored."""
    from judge.stats import wilson

    correct, unscored = verdicts.count("yes"), verdicts.count("unscored")
    n = len(verdicts) - unscored
    rate = correct / n if n else None
    return {"correct": correct, "n": n, "rate": rate, "ci95": list(wilson(correct, n)), "unscored": unscored}


def summarise(recipe: Recipe, verdicts: dict[str, dict[str, Row]], seconds: dict[str, float]) -> dict:
    """The content of summary.json. Rates, shares and intervals are fractions of 1; agreement is counted in rows."""
    models = {}
    for model, rows in verdicts.items():
        columns = measures_of(recipe).items()
        models[model] = {name: score([row[column] for row in rows.values()]) for name, column in columns}
        stopped = [row["finish_reason"] == "stop" for row in rows.values() if row.get("finish_reason")]
        models[model]["stopped"] = sum(stopped) / len(stopped) if stopped else None
    crossed = agreement(recipe, verdicts)
    short = {key: crossed[key] for key in ("kappa", "false_accept", "false_reject")}
    return {"recipe": f"{recipe.task}/{recipe.name}", "models": models, "agreement": short, "seconds": seconds}


def agreement(recipe: Recipe, verdicts: dict[str, dict[str, Row]]) -> dict:
    """LLM judge against execution over both models' rows that both scored: four counts and Cohen's kappa."""
    from judge.stats import cohen_kappa

    llm, execution = recipe.judge.verdicts.get("llm"), recipe.judge.verdicts.get("execution")
    rows = [row for table in verdicts.values() for row in table.values()] if llm and execution else []
    pairs = [(row[llm], row[execution]) for row in rows if "unscored" not in (row[llm], row[execution])]
    count = Counter(pairs)
    return {
        "kappa": cohen_kappa([a for a, _ in pairs], [b for _, b in pairs]),
        "false_accept": count["yes", "no"],
        "false_reject": count["no", "yes"],
        "both_yes": count["yes", "yes"],
        "both_no": count["no", "no"],
        "left_out": len(rows) - len(pairs),
    }


def compare(verdicts: dict[str, dict[str, Row]], column: str) -> dict:
    """Base against tuned on the rows where both are scored: the four counts and McNemar's exact p."""
    from judge.stats import mcnemar

    pairs = [(row[column], verdicts["tuned"][key][column]) for key, row in verdicts["base"].items()]
    pairs = [(a == "yes", b == "yes") for a, b in pairs if "unscored" not in (a, b)]
    count = Counter(pairs)
    counts = {"both": count[True, True], "base": count[True, False], "tuned": count[False, True]}
    p = mcnemar([a for a, _ in pairs], [b for _, b in pairs])
    return {**counts, "neither": count[False, False], "n": len(pairs), "p": p}


def broken_down(verdicts: dict[str, dict[str, Row]], by: str, column: str) -> list[tuple[str, dict[str, dict]]]:
    """(value, score by model) for each value of the column `by`, the one where the tuned model does best first."""
    values = {row.get(by, "") for row in verdicts["tuned"].values()}
    table = []
    for value in values:
        keys = [key for key, row in verdicts["tuned"].items() if row.get(by, "") == value]
        table.append((value, {model: score([verdicts[model][key][column] for key in keys]) for model in MODELS}))
    return sorted(table, key=lambda line: (-(line[1]["tuned"]["rate"] or 0), line[0]))


def failures(recipe: Recipe, verdicts: dict[str, dict[str, Row]], column: str) -> dict:
    """Some rows that the tuned model got wrong, spread evenly over the test file, and how many there are."""
    wrong = [key for key, row in verdicts["tuned"].items() if row[column] == "no"]
    picked = [wrong[at * len(wrong) // FAILURES] for at in range(FAILURES)] if len(wrong) > FAILURES else wrong
    reason = column.removesuffix("_yn") + "_reason"
    shown_rows = []
    for key in picked:
        tuned, base = verdicts["tuned"][key], verdicts["base"][key]
        texts = {"id": key, "question": tuned.get("question", ""), "gold": tuned.get("answer", "")}
        texts |= {"prediction": tuned[recipe.generate.column], "reason": tuned.get(reason, "")}
        shown_rows.append(texts | {"base": base[recipe.generate.column], "base_verdict": base[column]})
    return {"rows": shown_rows, "of": len(wrong)}


def stand_in_note(verdicts: dict[str, dict[str, Row]]) -> str:
    """What has to be said where the local stand-in gave the LLM verdicts; empty where it gave none."""
    rows = [row for table in verdicts.values() for row in table.values()]
    by_stand_in = sum(row["judge_model"] == STAND_IN for row in rows)
    if not by_stand_in:
        return ""
    if any(row["judge_model"] not in (STAND_IN, "") for row in rows):
        return f"For {by_stand_in} of {len(rows)} answers, {STAND_IN_NOTE}"
    return STAND_IN_NOTE[0].upper() + STAND_IN_NOTE[1:]


def draw_scores(summary: dict) -> dict[str, bytes]:
    measures = [name for name in MEASURES if name in summary["models"]["base"]]

    def draw(axes, ink, *fills):
        for at, (model, fill) in enumerate(zip(MODELS, fills, strict=True)):
            for place, name in enumerate(measures):
                one, x = summary["models"][model][name], place + (at - 0.5) * 0.36
                height = 100 * (one["rate"] or 0)
                axes.bar(x, height, 0.34, color=fill, label=model if place == 0 else None)
                if one["n"]:
                    low, high = (100 * end for end in one["ci95"])
                    spread = [[max(0, height - low)], [max(0, high - height)]]
                    axes.errorbar(x, height, yerr=spread, color=ink, capsize=4, linewidth=1.2)
                top = 100 * one["ci95"][1] if one["n"] else 0
                axes.text(x, top + 2, percent(one["rate"]), ha="center", fontsize=9, color=ink)
        axes.set(ylim=(0, 112), ylabel="% of scored rows", yticks=range(0, 101, 20), xticks=range(len(measures)))
        axes.set_xticklabels([MEASURES[name].replace(" ", "\n") for name in measures])
        axes.legend(frameon=False, labelcolor=ink, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1))

    return drawn(draw)


def draw_loss(history: list[dict]) -> dict[str, bytes]:
    steps, losses = [row["step"] for row in history], [row["loss"] for row in history]
    window = max(1, len(losses) // 20)
    means = [sum(losses[max(0, at - window + 1) : at + 1]) / min(window, at + 1) for at in range(len(losses))]

    def draw(axes, ink, pale, strong):
        axes.plot(steps, losses, color=pale, linewidth=0.9, marker="." if len(steps) < 30 else None)
        axes.plot(steps, means, color=strong, linewidth=1.8)
        axes.set(xlabel="step", ylabel="training loss", ylim=(0, None))

    return drawn(draw)


def drawn(draw) -> dict[str, bytes]:
    """A plot as PNG on light and on dark paper; `draw(axes, ink, base, tuned)` puts the lines in."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    pictures = {}
    for scheme, (ink, paper, *fills) in COLOURS.items():
        # Narrow and with large letters, so that a phone still shows them legibly.
        figure, axes = pyplot.subplots(figsize=(4.6, 3.1), layout="constrained", facecolor=paper)
        axes.set_facecolor(paper)
        axes.set_axisbelow(True)
        axes.grid(axis="y", color=ink, alpha=0.15)
        axes.spines[:].set_visible(False)
        draw(axes, ink, *fills)
        axes.tick_params(colors=ink, length=0)
        axes.xaxis.label.set_color(ink)
        axes.yaxis.label.set_color(ink)
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=160, metadata={"Software": None})
        pyplot.close(figure)
        pictures[scheme] = file.getvalue()
    return pictures


def page(recipe: Recipe, verdicts: dict, summary: dict, history: list[dict], plots: dict[str, dict[str, bytes]]) -> str:
    """The report as one HTML text; whatever comes from rows or models is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    kind = {"autoescape": True, "undefined": StrictUndefined, "trim_blocks": True, "lstrip_blocks": True}
    environment = Environment(loader=FileSystemLoader(PAGE.parent), **kind)
    environment.filters |= {"percent": percent, "interval": interval, "duration": duration, "visible": visible}
    first, column = next(iter(measures_of(recipe).items()))
    rows = verdicts["tuned"].values()
    present = [name for name in recipe.judge.breakdown if all(name in row for row in rows)]
    classes = {m: Counter(row.get(f"{column}_outcome") or "" for row in verdicts[m].values()) for m in MODELS}
    return environment.get_template(PAGE.name).render(
        recipe=recipe,
        summary=summary,
        measures={name: MEASURES[name] for name in measures_of(recipe)},
        first=MEASURES[first],
        rows=len(rows),
        judges=sorted({row["judge_model"] for table in verdicts.values() for row in table.values()} - {""}),
        note=stand_in_note(verdicts),
        compared=compare(verdicts, column),
        breakdowns={name: broken_down(verdicts, name, column) for name in present},
        absent=[name for name in recipe.judge.breakdown if name not in present],
        classes=classes,
        outcomes=sorted(set().union(*classes.values()) - {""}, key=lambda name: (-classes["tuned"][name], name)),
        agreement=agreement(recipe, verdicts),
        failures=failures(recipe, verdicts, column),
        history=history,
        plots={name: {key: base64.b64encode(png).decode() for key, png in two.items()} for name, two in plots.items()},
    )


def in_short(recipe: Recipe, summary: dict, note: str) -> str:
    """The scores as a small table of plain text, with what has to be said about them."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table("measure", *MODELS, box=box.ASCII2)
    for name in measures_of(recipe):
        cells = []
        for one in (summary["models"][model][name] for model in MODELS):
            apart = f"\n{one['unscored']} unscored" if one["unscored"] else ""
            cells.append(f"{percent(one['rate'])}  {one['correct']}/{one['n']}\n{interval(one)}{apart}")
        table.add_row(MEASURES[name], *cells)
    table.add_row("stopped by itself", *(percent(summary["models"][model]["stopped"]) for model in MODELS))
    console = Console(file=io.StringIO(), width=100, markup=False, highlight=False, emoji=False)
    console.print(f"{recipe.title} ({summary['recipe']})", table, sep="\n")
    kappa = summary["agreement"]["kappa"]
    wrong = "{false_accept} false accepts, {false_reject} false rejects".format(**summary["agreement"])
    console.print(f"LLM judge against execution: kappa {'undefined' if kappa is None else f'{kappa:.2f}'}, {wrong}")
    if note:
        console.print(f"Note: {note}")
    return console.file.getvalue()


def percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def interval(one: dict) -> str:
    low, high = one["ci95"]
    return f"{100 * low:.1f} to {100 * high:.1f} %" if one["n"] else "nothing scored"


def duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, hours = round(seconds / 60), round(seconds / 60) // 60
    return f"{hours} h {minutes % 60:02} min" if hours else f"{minutes} min"


def visible(text: str, limit: int = 1500) -> str:
    """Text as a reader should see it: control and direction marks as escapes (they can disguise it), cut at limit."""
    hidden = ("Cc", "Cf", "Cs")
    characters = [
        f"\\u{ord(c):04x}" if c not in "\n\t" and unicodedata.category(c) in hidden else c for c in text[:limit]
    ]
    more = len(text) - limit
    return "".join(characters) + (f" … ({more:,} more characters)" if more > 0 else "")


if __name__ == "__main__":
    run_main(main)
