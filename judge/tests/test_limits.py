"""The buckets that hold a run to its requests and tokens a minute, by a clock of their own."""

import random
from bisect import bisect_left

import pytest
from judge.gate import retry_after
from judge.limits import Bucket, sending_bucket


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def spend_as_soon_as_possible(bucket: Bucket, clock: Clock, costs: list[float]) -> list[tuple[float, float]]:
    sent = []
    for cost in costs:
        while (wait := bucket.wait(cost)) > 1e-9:
            clock.now += wait
        bucket.spend(cost)
        sent.append((clock.now, cost))
    return sent


@pytest.mark.parametrize("per_minute", [1, 2, 7, 59, 60, 61, 600])
def test_no_minute_holds_more_requests_than_allowed_and_few_fewer(per_minute):
    clock = Clock()
    sent = spend_as_soon_as_possible(sending_bucket(per_minute, clock), clock, [1] * min(5 * per_minute, 3000))
    times = [at for at, _ in sent]
    for number, start in enumerate(times):
        assert bisect_left(times, start + 60) - number <= per_minute
    assert times[-1] <= 60 * len(times) / per_minute * 1.02


def test_no_minute_holds_more_tokens_than_allowed_but_for_one_request():
    clock, luck = Clock(), random.Random(0)
    costs = [luck.choice([50, 300, 2000]) for _ in range(400)]
    sent = spend_as_soon_as_possible(sending_bucket(10_000, clock), clock, costs)
    for start, _ in sent:
        assert sum(cost for at, cost in sent if start <= at < start + 60) <= 10_000 + 2000
    assert sum(costs) / clock.now * 60 > 9500


def test_time_without_requests_is_not_saved_up():
    clock = Clock()
    bucket = sending_bucket(60, clock)
    clock.now = 3600
    sent = spend_as_soon_as_possible(bucket, clock, [1] * 5)
    assert sent[-1][0] - sent[0][0] > 3.9


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
