"""The plots of a data card, as PNG files on white."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scripts.data_card import Survey

INK, COLOURS = "#1d2329", {"train": "#2463c9", "test": "#e08a1e"}
MOST = 30  # bars of one heading


def draw_lengths(survey: Survey, path: Path) -> None:
    """How long the texts are: a column each, characters above, tokens below; both splits as shares of their rows."""
    figure, grid = figure_of(2, len(survey.lengths), (3.5 * len(survey.lengths), 5.4))
    for line, (unit, counts) in enumerate((("characters", survey.lengths), ("tokens", survey.tokens))):
        for axes, (text, by_split) in zip(grid[line], counts.items(), strict=True):
            both = sum(by_split.values(), Counter())
            low, high = (min(both), max(both) + 1) if both else (0, 1)
            for split, counter in by_split.items():
                total = sum(counter.values())
                if total:
                    weights = [100 * count / total for count in counter.values()]
                    filled = {"alpha": 0.55} if split == "train" else {"histtype": "step", "linewidth": 1.6}
                    axes.hist(
                        list(counter), bins=min(30, high - low), range=(low, high), weights=weights,
                        color=COLOURS[split], label=split, **filled,
                    )  # fmt: skip
            axes.set(xlabel=f"{text}, {unit}", ylabel="% of rows" if axes is grid[line][0] else None)
    save(figure, grid[0][0], path)


def draw_kinds(survey: Survey, path: Path) -> None:
    """What the rows are like: a panel for each heading, a bar for each of its values and splits."""
    headings = [*survey.kinds, *survey.things]
    if not headings:
        headings, shares = ["rows"], {"rows": {split: {"rows": 100.0} for split in survey.rows}}
        values = {"rows": ["rows"]}
    else:
        counted = survey.kinds | survey.things
        values = {heading: survey.values(heading)[:MOST] for heading in headings}
        shares = {
            heading: {
                split: {value: 100 * counter[value] / max(1, survey.rows[split]) for value in values[heading]}
                for split, counter in counted[heading].items()
            }
            for heading in headings
        }
    heights = [max(2, len(values[heading])) * 0.3 + 0.9 for heading in headings]
    figure, grid = figure_of(len(headings), 1, (7.5, sum(heights)), {"height_ratios": heights})
    for [axes], heading in zip(grid, headings, strict=True):
        places = range(len(values[heading]))
        for at, (split, of) in enumerate(shares[heading].items()):
            bars = [of[value] for value in values[heading]]
            axes.barh([place + 0.38 * at for place in places], bars, 0.36, color=COLOURS[split], label=split)
        axes.set_yticks([place + 0.19 for place in places], values[heading])
        axes.set(xlabel="% of rows", title=heading)
        axes.title.set_fontsize(10)
        axes.invert_yaxis()
        axes.grid(axis="x", color=INK, alpha=0.15)
    save(figure, grid[0][0], path)


def figure_of(lines: int, columns: int, size: tuple[float, float], ratios: dict | None = None) -> tuple:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, grid = pyplot.subplots(
        lines, columns, figsize=size, layout="constrained", squeeze=False, gridspec_kw=ratios or {}
    )
    for axes in grid.flat:
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    return figure, grid


def save(figure, first, path: Path) -> None:
    from matplotlib import pyplot

    handles, labels = first.get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, ncols=2, loc="outside upper center")
    # Without the writer's name and version the same rows give the same bytes.
    figure.savefig(path, format="png", dpi=110, metadata={"Software": None})
    pyplot.close(figure)
