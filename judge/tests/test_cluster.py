"""The same verdicts on a Ray cluster as without one: a real cluster of two nodes, each with processes of its own."""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from importlib.util import find_spec

import pytest
from judge.databases import database_verdicts
from judge.execution import execution_verdicts
from judge.text import UserError

DDL = "CREATE TABLE players (id INT PRIMARY KEY, name VARCHAR(20), level INT);"
PAIRS = [
    ("SELECT name FROM players WHERE level > 10", "SELECT name FROM players WHERE level >= 11"),
    ("SELECT name FROM players WHERE level > 10", "SELECT name FROM players WHERE level >= 10"),
    ("SELECT name FROM players", "DROP TABLE players"),
    ("SELECT nothing FROM nowhere", "SELECT 1"),
    ("SELECT COUNT(*) FROM players", "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT COUNT(*) FROM r"),
]  # fmt: skip


@pytest.fixture(scope="module")
def rows():
    return [
        {"id": n, "context": DDL, "db_id": "game", "answer": gold, "gen_sql": prediction}
        for n, (gold, prediction) in enumerate(PAIRS[:4] * 4 + PAIRS[4:])
    ]


@pytest.fixture(scope="module")
def cluster():
    """The address of two raylets on this machine; RAY_ADDRESS itself is set by the tests."""
    pytest.importorskip("ray", reason="needs Ray: pip install './judge[ray]'")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args=node)
    try:
        made.add_node(num_cpus=1, object_store_memory=80_000_000)
        yield made.address
    finally:
        made.shutdown()


def test_verdicts_on_a_cluster_are_the_same_as_without(cluster, rows, monkeypatch):
    here = execution_verdicts(rows, instances=4)
    assert {verdict["execution"] for verdict in here} == {"yes", "no", "unscored"}
    monkeypatch.setenv("RAY_ADDRESS", cluster)
    assert execution_verdicts(rows, instances=4) == here


def test_rows_go_to_both_nodes_and_each_is_told_done_once(cluster, monkeypatch):
    from judge.execution import cluster as module

    monkeypatch.setenv("RAY_ADDRESS", cluster)

    def which_node(jobs: list[dict]) -> list[dict]:
        import ray

        time.sleep(0.3)  # long enough for the other node to be wanted too
        return [{**job, "node": ray.get_runtime_context().get_node_id()} for job in jobs]

    monkeypatch.setattr(module, "_judge", which_node)
    told: list[None] = []
    answers = module.ask_cluster([{"job": n} for n in range(40)], None, lambda: told.append(None))
    assert [answer["job"] for answer in answers] == list(range(40))
    assert len({answer["node"] for answer in answers}) == 2
    assert len(told) == 40


def test_a_node_that_lacks_the_package_gives_one_line(cluster, monkeypatch):
    from judge.execution import cluster as module

    monkeypatch.setenv("RAY_ADDRESS", cluster)
    monkeypatch.setattr(module, "_judge", only_here)
    with pytest.raises(UserError, match="a node lacks this package") as refused:
        module.ask_cluster([{"job": 1}], None, lambda: None)
    assert "\n" not in str(refused.value)


def only_here(jobs: list[dict]) -> list[dict]:
    """Sent by its name, and no node can import this file."""
    return jobs


def test_the_data_sets_own_databases_are_judged_on_a_cluster_too(cluster, rows, tmp_path, monkeypatch):
    (tmp_path / "game").mkdir()
    with sqlite3.connect(tmp_path / "game" / "game.sqlite") as connection:
        connection.executescript(DDL + "INSERT INTO players VALUES (1, 'a', 10), (2, 'b', 11), (3, 'c', NULL)")
    here = database_verdicts(rows[:4], tmp_path)
    monkeypatch.setenv("RAY_ADDRESS", cluster)
    assert database_verdicts(rows[:4], tmp_path, workers=1) == here
    assert [verdict["execution"] for verdict in here] == ["yes", "no", "no", "unscored"]


def test_an_address_where_no_cluster_is_gives_one_line(rows, monkeypatch):
    pytest.importorskip("ray", reason="needs Ray: pip install './judge[ray]'")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(UserError, match="no Ray cluster can be used there") as refused:
        execution_verdicts(rows, instances=1)
    assert "\n" not in str(refused.value)


def test_without_ray_the_variable_gives_one_line_that_says_what_to_install(rows, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:6379")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install '\./judge\[ray\]'"):
        execution_verdicts(rows, instances=1)


def test_ray_is_not_imported_unless_it_is_asked_for(rows, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)
    assert execution_verdicts(rows[:1], instances=1)[0]["execution"] == "yes"
    assert find_spec("judge.execution.cluster") is not None
