"""One function over many rows: the same results in the same order on one core, on several, and on a real Ray cluster."""

from __future__ import annotations

import os
import sys
import time
from functools import partial

import pytest

from recipes.ko_text2sql.cleaning import check
from scripts.cleaning import Index, judge, judged
from scripts.parallel import mapped
from scripts.recipe import Clean, UserError
from tests.planted import hand_written


def tripled(number: int, extra: int = 0) -> int:
    return 3 * number + extra


def refused(number: int) -> int:
    raise UserError(f"row {number} is refused")


def where(number: int) -> tuple[int, str]:
    import ray

    time.sleep(0.05)  # long enough for the other node to be wanted too
    return number, ray.get_runtime_context().get_node_id()


@pytest.fixture(scope="module")
def cluster():
    """The address of two raylets on this machine; RAY_ADDRESS itself is set by the tests."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args=node)
    try:
        made.add_node(num_cpus=1, object_store_memory=80_000_000)
        yield made.address
    finally:
        made.shutdown()


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_results_are_in_order_whatever_the_number_of_workers(workers: int) -> None:
    assert list(mapped(partial(tripled, extra=1), range(100), workers, chunk=7)) == [3 * n + 1 for n in range(100)]


def test_a_users_mistake_in_a_worker_reaches_the_caller() -> None:
    with pytest.raises(UserError, match="row 0 is refused"):
        list(mapped(refused, range(100), 2, chunk=10))


def test_a_cluster_gives_the_same_in_the_same_order(cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", cluster)
    found = list(mapped(where, range(60), chunk=5))
    assert [number for number, _ in found] == list(range(60))
    assert len({node for _, node in found}) == 2


def test_rows_are_cleaned_alike_on_a_cluster_and_without(cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = hand_written(24, seed=5)
    rows[3] = {**rows[3], "answer": "SELECT nothing FROM nowhere"}
    rows = [rows[n % 24] for n in range(400)]
    task = partial(judge, check, index=Index(), settings=Clean(check="-"))
    places = [(f"row {n}", row) for n, row in enumerate(rows)]
    here = list(judged(task, iter(places), workers=1))
    monkeypatch.setenv("RAY_ADDRESS", cluster)
    assert list(judged(task, iter(places), workers=None)) == here
    assert here[3][2]["faults"] and not here[4][2]["faults"]


def test_an_address_where_no_cluster_is_gives_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(UserError, match="no Ray cluster can be used there") as told:
        list(mapped(tripled, range(1000)))
    assert "\n" not in str(told.value)


def test_without_ray_the_variable_gives_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:6379")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match="Ray is not installed"):
        list(mapped(tripled, range(1000)))
