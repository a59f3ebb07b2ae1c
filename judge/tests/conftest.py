"""Lets the tests import the helpers that lie beside them, however pytest is started; starts the slowest files first."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

# A file goes to one process as a whole: begun last, one of these would leave the other cores idle at the end.
SLOWEST_FIRST = (
    "cluster",
    "server_database",
    "batch",
    "execution",
    "parallel",
    "attacks",
    "agreement",
    "rewrites_are_right",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leaves tests of other folders where they are."""
    here = [at for at, item in enumerate(items) if item.path.parent == Path(__file__).parent]
    for at, item in zip(here, sorted((items[at] for at in here), key=_place), strict=True):
        items[at] = item


def _place(item: pytest.Item) -> int:
    name = item.path.stem.removeprefix("test_")
    return SLOWEST_FIRST.index(name) if name in SLOWEST_FIRST else len(SLOWEST_FIRST)
