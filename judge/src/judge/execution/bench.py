"""The instances that one gold query is put on: made, filled up where gold finds nothing, hardened against its mutants."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlglot import exp

from judge.execution.compare import Expected, agrees, plain_rows
from judge.execution.goldplan import GoldPlan, finds_one, plan_gold, run_gold_once, says_nothing
from judge.execution.hints import Hints, collect
from judge.execution.instances import make_instance, needed_tables
from judge.execution.mutants import mutants
from judge.execution.profiles import LARGE
from judge.execution.sandbox import Borrowed, QueryFailed, borrow, give_back, run
from judge.sql.queries import QueryError, mentioned, parse_query
from judge.sql.schema import Schema, SchemaError, guessed_kind, parse_schema

_EXTRA = 3  # times as many further instances are tried where gold is empty, or where mutants survive
_STEPS = 2_000_000  # of a mutant: one that takes more differs from gold
_KEPT = 12  # benches kept: several predictions for one gold come one after the other


class GoldError(Exception):
    """Gold fails: the row is left out for every model."""


@dataclass
class Instance:
    borrowed: Borrowed  # gold, mutants and prediction run on the same one
    expected: Expected
    own: list[tuple]


@dataclass
class Bench:
    """Everything about a row's gold: its plan and the instances it was run on."""

    schema: Schema
    tree: exp.Expression
    plan: GoldPlan
    seed: str
    timeout: float
    instances: list[Instance] = field(default_factory=list)
    large: list[Instance] = field(default_factory=list)  # see add_large
    fragile_left_out: int = 0
    mutants_killed: float | None = None

    def tells(self, instance: Instance) -> bool:
        return not says_nothing(self.plan, instance.own)

    def telling(self) -> int:
        return sum(map(self.tells, self.instances))


def read_gold(context: str, gold: str, seed: int, dialect: str, timeout: float) -> Bench:
    """A bench without instances yet. Raises GoldError."""
    try:
        schema = parse_schema(context)
        tree = parse_query((gold or "").strip(), dialect)
        return Bench(schema, tree, plan_gold(tree, schema), f"{seed}/{gold.strip()}", timeout)
    except (SchemaError, QueryError) as error:
        raise GoldError(str(error)) from None
    except RecursionError:
        raise GoldError("nested too deeply") from None


_benches: OrderedDict[tuple, Bench] = OrderedDict()


def furnish(
    bench: Bench, trees: list[exp.Expression], hints: Hints, instances: int, harden: bool | None, key: tuple
) -> Bench:
    """`bench` with its instances; the one of an earlier row where gold and all that the queries ask of data are the same.

    `hints` are those of `trees`. `key` tells golds apart (context, gold, seed, dialect, timeout). harden: kill mutants;
    None: nor look for further instances where gold finds nothing. Raises GoldError.
    """
    tables = needed_tables(mentioned(trees, bench.schema), bench.schema)
    key = (*key, instances, harden, tuple(tables), hints.fingerprint())
    if key in _benches:
        _benches.move_to_end(key)
        return _benches[key]
    try:
        _make(bench, tables, hints, range(instances))
        if harden is not None:
            _fill_up(bench, instances)
        if harden and bench.instances:
            _kill(bench, tables, hints, instances)
    except BaseException:
        _clear(bench)
        raise
    _benches[key] = bench
    if len(_benches) > _KEPT:
        _clear(_benches.popitem(last=False)[1])
    return bench


def add_large(bench: Bench, trees: list[exp.Expression], hints: Hints, count: int) -> list[Instance]:
    """Further, larger instances for a prediction that gave gold's result on all others; made once for a bench."""
    if not bench.large:
        tables = needed_tables(mentioned(trees, bench.schema), bench.schema)
        before = len(bench.instances)
        _make(bench, tables, hints, range(LARGE, LARGE + count))
        bench.large = bench.instances[before:]
        del bench.instances[before:]
    return bench.large


def _clear(bench: Bench) -> None:
    for instance in bench.instances + bench.large:
        give_back(instance.borrowed)
    bench.instances, bench.large = [], []


def _make(
    bench: Bench, tables: list[str], hints: Hints, indices: range, rich: bool = False, keep: Callable | None = None
) -> None:
    """Make instances, run gold on each and keep them; raises GoldError where gold fails."""
    schema, plan = bench.schema, bench.plan
    kinds = _kinds(schema, tables, hints)
    deadline = time.process_time() + bench.timeout
    for index in indices:
        rows = make_instance(schema, tables, hints, bench.seed, index, rich)
        borrowed = borrow(schema, rows, kinds)
        try:
            expected, own = run_gold_once(plan, borrowed.connection, deadline)
            settled = finds_one(plan, borrowed.connection, deadline)
            settled = settled and (not plan.fragile or _settled(bench, rows, kinds, expected, deadline))
        except QueryFailed as error:
            give_back(borrowed)
            raise GoldError(f"{error.kind}: {error}") from None
        bench.fragile_left_out += not settled
        instance = Instance(borrowed, expected, own)
        if settled and (keep is None or keep(instance)):
            bench.instances.append(instance)
        else:
            give_back(borrowed)


def _settled(bench: Bench, rows: dict, kinds: dict, expected: Expected, deadline: float) -> bool:
    """Does gold give the same with the rows stored the other way round?"""
    turned = borrow(bench.schema, {name: made[::-1] for name, made in rows.items()}, kinds)
    try:
        other = run(turned.connection, bench.plan.sql, bench.plan.functions, deadline=deadline)[1]
    finally:
        give_back(turned)
    return agrees(expected, plain_rows(other))


def _kinds(schema: Schema, tables: list[str], hints: Hints) -> dict:
    """Kinds for the columns whose DDL does not settle them."""
    found = dict(hints.kinds)
    for name in tables:
        for c, column in schema[name].columns.items():
            if column.kind == "any":
                found.setdefault((name, c), guessed_kind(column.name))
    return found


def _fill_up(bench: Bench, instances: int) -> None:
    """Where gold gave nothing so far, look for instances by its own constants alone: the same ones for every model."""
    if bench.telling():
        return
    hints = collect([bench.tree], bench.schema)
    tables = needed_tables(mentioned([bench.tree], bench.schema), bench.schema)
    _make(bench, tables, hints, range(_EXTRA * instances), rich=True, keep=bench.tells)


def _kill(bench: Bench, tables: list[str], hints: Hints, instances: int) -> None:
    """Set the share of gold's mutants that some instance tells from gold; make further instances for the survivors."""
    alive = mutants(bench.tree, bench.schema)
    total = len(alive)
    if not total:
        return

    def kills(instance: Instance) -> bool:
        before = len(alive)
        alive[:] = [mutant for mutant in alive if not differs(bench, *mutant, instance)]
        return len(alive) < before

    for instance in bench.instances:
        kills(instance)
    for step in range(_EXTRA * 2):
        if not alive:
            break
        start = instances + step * (instances // 2 + 1)
        _make(bench, tables, hints, range(start, start + instances // 2 + 1), rich=step % 2 == 1, keep=kills)
    bench.mutants_killed = round(1 - len(alive) / total, 4)


def differs(bench: Bench, sql: str, functions: set[str], instance: Instance) -> bool:
    """Does this query give another result than gold on the instance, or none?"""
    deadline = time.process_time() + bench.timeout
    try:
        width, rows = run(instance.borrowed.connection, sql, functions, deadline=deadline, max_steps=_STEPS)
    except QueryFailed:
        return True
    return width != instance.expected.width or not agrees(instance.expected, plain_rows(rows))
