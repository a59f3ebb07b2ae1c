"""How many requests are in flight, by a clock of its own and endpoints that bear so and so many."""

import pytest
from judge.processor.window import Window


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def after_answers(window, clock, count, *, bears, latency=1.0):
    """An endpoint that works on `bears` requests at once, each for `latency` seconds; the rest queue."""
    for _ in range(count):
        size = int(window.size)
        clock.now += latency / min(size, bears)
        window.answered(size)
    return window.size


@pytest.mark.parametrize(("bears", "least", "most"), [(1, 8, 16), (20, 16, 48), (100, 96, 256), (10_000, 512, 512)])
def test_as_many_are_in_flight_as_the_endpoint_answers_faster_for(bears, least, most):
    clock = Clock()
    window = Window(512, clock)
    assert window.size == 1  # the first is waited for
    sizes = [after_answers(window, clock, 500, bears=bears) for _ in range(40)]
    assert all(least <= size <= most for size in sizes[20:])


def test_concurrency_is_never_passed():
    clock = Clock()
    window = Window(3, clock)
    assert after_answers(window, clock, 500, bears=1000) == 3


def test_a_run_that_its_limits_hold_back_does_not_grow():
    clock = Clock()
    window = Window(512, clock)
    for _ in range(500):
        clock.now += 0.1
        window.answered(2)
    assert window.size == 8


def test_a_stray_refusal_hardly_slows_and_many_halve_it_each_time():
    clock = Clock()
    window = Window(512, clock)
    after_answers(window, clock, 20_000, bears=10_000)
    window.refused(clock.now)
    assert window.size > 500
    for _ in range(200):
        window.refused(sent_at=-1.0)  # these left before it shrank, and shrink it no more
    before = window.size
    assert before > 500 and window.share > 0.9
    clock.now += 1
    window.refused(sent_at=clock.now)
    assert 0.45 * before < window.size < 0.55 * before


def test_answers_that_come_too_late_halve_it_once():
    clock = Clock()
    window = Window(512, clock)
    after_answers(window, clock, 20_000, bears=10_000)
    clock.now += 120
    for _ in range(512):
        window.overloaded(sent_at=clock.now - 120 + 1e-3)
        clock.now += 1e-4
    assert window.size == 256
