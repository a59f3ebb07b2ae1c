"""The budgets that hold a run to its requests and tokens a minute, by a clock of their own."""

import random
from collections import deque

import pytest
from judge.processor.gate import retry_after
from judge.processor.limits import Bucket, Budget, duration


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class SlidingServer:
    """Admits what keeps the last 60 seconds within `limit`."""

    def __init__(self, limit: float) -> None:
        self.limit, self.log, self.total = limit, deque(), 0.0

    def admits(self, at: float, cost: float) -> bool:
        while self.log and self.log[0][0] <= at - 60:
            self.total -= self.log.popleft()[1]
        if self.total + cost > self.limit + 1e-6:
            return False
        self.log.append((at, cost))
        self.total += cost
        return True

    def headers(self, kind: str) -> dict[str, str]:
        left = int(self.limit - self.total)
        return {f"x-ratelimit-limit-{kind}": f"{self.limit:g}", f"x-ratelimit-remaining-{kind}": str(left)}


class BucketServer:
    """Admits what its bucket holds, of `capacity`; `limit` a minute flow in."""

    def __init__(self, limit: float, capacity: float) -> None:
        self.limit, self.capacity, self.level, self.since = limit, capacity, capacity, 0.0

    def admits(self, at: float, cost: float) -> bool:
        self.level = min(self.capacity, self.level + (at - self.since) * self.limit / 60)
        self.since = at
        if cost > self.level + 1e-6:
            return False
        self.level -= cost
        return True

    def headers(self, kind: str) -> dict[str, str]:
        full_in = (self.capacity - self.level) * 60 / self.limit
        return {
            f"x-ratelimit-limit-{kind}": f"{self.limit:g}",
            f"x-ratelimit-remaining-{kind}": str(int(self.level)),
            f"x-ratelimit-reset-{kind}": f"{full_in:.3f}s",
        }


def run_against(server, budget, clock, cost_of, minutes, told=False, late=0.0, way=0.0, seed=0):
    """(cost admitted after the first minute a minute, refusals) of a sender that goes as soon as it may.

    It wakes up to `late` seconds late, and what it sends takes up to `way` seconds to arrive.
    """
    luck, admitted, refused, on_the_way = random.Random(seed), 0.0, 0, []
    while clock.now < 60 * minutes:
        cost = cost_of(luck)
        while (wait := budget.wait(cost)) > 0:
            clock.now += wait + luck.uniform(0, late)
        budget.spend(cost)
        on_the_way.append((clock.now + luck.uniform(0, way), cost))
        on_the_way.sort()
        while on_the_way and on_the_way[0][0] <= clock.now:
            at, arrived = on_the_way.pop(0)
            if server.admits(at, arrived):
                admitted += arrived if at > 60 else 0
            else:
                refused += 1
            if told:
                budget.learn(server.headers(budget.kind))
    return admitted / (minutes - 1), refused


@pytest.mark.parametrize("told", [False, True], ids=["without headers", "with headers"])
@pytest.mark.parametrize("enforced", ["sliding minute", "bucket of a minute", "bucket of a second"])
@pytest.mark.parametrize("limit", [60, 500, 3000])
def test_requests_a_minute_are_used_to_98_percent_and_never_refused(limit, enforced, told):
    clock = Clock()
    servers = {
        "sliding minute": SlidingServer(limit),
        "bucket of a minute": BucketServer(limit, limit),
        "bucket of a second": BucketServer(limit, max(2, limit / 60)),
    }
    way = 0.0 if enforced == "bucket of a second" else 0.3
    budget = Budget("requests", limit, clock)
    rate, refused = run_against(servers[enforced], budget, clock, lambda _: 1, 5, told, late=0.01, way=way)
    assert refused == 0 and rate >= 0.98 * limit


@pytest.mark.parametrize("told", [False, True], ids=["without headers", "with headers"])
@pytest.mark.parametrize("enforced", ["sliding minute", "bucket of a minute"])
def test_tokens_a_minute_are_used_to_98_percent_and_never_refused(enforced, told):
    clock, limit = Clock(), 100_000
    server = SlidingServer(limit) if enforced == "sliding minute" else BucketServer(limit, limit)
    budget = Budget("tokens", limit, clock)
    rate, refused = run_against(
        server, budget, clock, lambda luck: luck.choice([50, 300, 800]), 5, told, late=0.01, way=0.3
    )
    assert refused == 0 and rate >= 0.98 * limit


def test_requests_that_are_large_for_the_limit_are_not_refused_either():
    clock, limit = Clock(), 10_000
    server, budget = SlidingServer(limit), Budget("tokens", limit, clock)
    rate, refused = run_against(server, budget, clock, lambda luck: luck.choice([100, 4000, 9000]), 10, way=0.3)
    assert refused == 0 and rate > 0.5 * limit


def test_time_without_requests_is_not_saved_up():
    clock = Clock()
    budget = Budget("requests", 60, clock)
    clock.now = 3600
    sent = []
    for _ in range(5):
        while wait := budget.wait(1):
            clock.now += wait
        budget.spend(1)
        sent.append(clock.now)
    assert sent[-1] - sent[0] > 3.9


def test_what_an_earlier_run_has_spent_is_learned_from_the_first_answer():
    """A server that has served 90 of 100 lately would refuse the eleventh of a sender that began afresh."""
    clock = Clock()
    clock.now = 60.0
    server, budget = SlidingServer(100), Budget("requests", 100, clock)
    for number in range(90):
        server.admits(number / 2, 1)
    _, refused = run_against(server, budget, clock, lambda _: 1, 4, told=True)
    assert refused == 0


@pytest.mark.parametrize(
    ("given", "told", "kept"), [(None, "120", 120), (500, "120", 120), (60, "120", 60), (None, "0", None)]
)
def test_the_lower_of_the_users_and_the_servers_limit_is_kept_to(given, told, kept):
    budget = Budget("requests", given, Clock())
    budget.learn({"x-ratelimit-limit-requests": told})
    assert budget.limit == kept


def test_a_bucket_serves_its_burst_and_then_its_flow():
    clock = Clock()
    bucket = Bucket(60, burst=3, clock=clock)
    for _ in range(3):
        assert bucket.wait(1) == 0
        bucket.spend(1)
    assert bucket.wait(1) == pytest.approx(1)
    clock.now = 1.0
    assert bucket.wait(1) == 0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1s", 1), ("6m0s", 360), ("120ms", 0.12), ("2m59.56s", 179.56), ("1h", 3600), ("7", 7), ("soon", 0), (None, 0)],
)
def test_the_time_to_a_reset_is_read_in_the_forms_that_servers_write(text, seconds):
    assert duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
        ({"retry-after": "soon"}, 0),
        ({"retry-after": "-3"}, 0),
        ({"retry-after": "nan"}, 0),
        ({"retry-after": "inf"}, 0),
    ],
)
def test_retry_after_is_read_as_seconds_or_a_date(headers, seconds):
    assert retry_after(headers) == seconds


def test_what_others_use_of_a_servers_larger_limit_does_not_slow_a_run_that_keeps_to_a_lower_one():
    """Groq's headers count a day: 14,400, of which a thousand may be gone, with 30 a minute allowed."""
    clock = Clock()
    budget = Budget("requests", 30, clock)
    for _ in range(29):
        assert budget.wait(1) < 2.1
        clock.now += budget.wait(1)
        budget.spend(1)
        budget.learn({
            "x-ratelimit-limit-requests": "14400",
            "x-ratelimit-remaining-requests": "13400",
            "x-ratelimit-reset-requests": "2h",
        })  # fmt: skip
    assert budget.limit == 30


def test_what_others_use_of_a_servers_larger_limit_is_heeded_once_it_runs_out():
    clock = Clock()
    budget = Budget("requests", 60, clock)
    budget.learn({"x-ratelimit-limit-requests": "1000", "x-ratelimit-remaining-requests": "0"})
    assert 0 < budget.wait(1) <= 1.0  # others' thousand leave the minute evenly
    clock.now += 30
    assert budget.wait(1) == 0


def test_less_than_one_request_a_minute_goes_all_the_same():
    clock = Clock()
    budget = Budget("requests", 0.5, clock)
    assert budget.wait(1) == 0
    budget.spend(1)
    assert 119 < budget.wait(1) < 125
    clock.now += 125
    assert budget.wait(1) == 0
