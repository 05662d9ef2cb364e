"""Choosing a tier by timing."""

import threading
from itertools import chain, repeat

import numpy as np
import pytest

from engines import CheckpointError, Engine, TierChoice, choose_tier
from engines.choose import HEADROOM, HOPELESS

SHAPE = (2, 32, 32)


@pytest.fixture(scope="module")
def tiers(random_checkpoint):
    return [
        random_checkpoint("little", frames=3, embed_dim=8, depths=(1,), heads=1),
        random_checkpoint("large", embed_dim=96, depths=(6,), heads=6),
    ]


@pytest.mark.parametrize(("budget_ms", "expected"), [(1e6, 1), (1e-6, 0)], ids=["ample", "hopeless"])
def test_the_best_tier_within_the_budget_is_chosen_else_the_fastest(budget_ms, expected, tiers):
    choice = choose_tier("eager", budget_ms, shape=SHAPE, tiers=tiers, seconds=0.1, threads=1)

    assert choice.tier == str(tiers[expected])
    assert list(choice.p95_ms) == [str(tier) for tier in tiers]
    assert choice.frames == 3


class TimedEngine(Engine):
    """Moves the clock on by what each of its calls is to take."""

    name, tier, sha256, frames, scale = "timed", "timed", "", 1, 2
    back_projects = False

    def __init__(self, clock: list[float], took_ms: list[float]) -> None:
        self._clock, self._took_ms, self.calls = clock, chain(took_ms, repeat(took_ms[-1])), 0

    def _run(self, batch):
        self._clock[0] += next(self._took_ms) / 1e3
        self.calls += 1
        n, height, width, _ = batch.shape
        return np.zeros((n, height * 2, width * 2, 3), np.uint8)


@pytest.fixture
def choose(monkeypatch, tiers):
    """Chooses between both tiers, of which each call takes what is scripted; also gives the engines that were timed."""

    def choose_one(budget_ms: float, *took_ms: list[float]) -> tuple[TierChoice, list[TimedEngine]]:
        clock = [0.0]
        engines = [TimedEngine(clock, times) for times in took_ms]
        opened = iter(engines)
        monkeypatch.setattr("engines.choose.load_engine", lambda *args, **kwargs: next(opened))
        monkeypatch.setattr("engines.choose.time.perf_counter", lambda: clock[0])
        return choose_tier("timed", budget_ms, shape=SHAPE, tiers=tiers, seconds=2.0), engines

    return choose_one


FIRST = 5000.0
"""An engine's first call, which compiles."""


@pytest.mark.parametrize(
    ("large_ms", "expected"),
    [
        ([FIRST, HEADROOM * 100 - 1], 1),
        ([FIRST, HEADROOM * 100 + 1], 0),
        ([FIRST, *([10] * 9 + [99]) * 10], 0),
        ([FIRST, *[10] * 98, 10_000, 10], 1),
    ],
    ids=["within the headroom", "beyond the headroom", "median within and p95 beyond it", "a single hitch"],
)
def test_a_tier_is_chosen_by_its_95th_percentile_and_the_headroom(large_ms, expected, choose, tiers):
    choice, _ = choose(100, [FIRST, 1], large_ms)

    assert choice.tier == str(tiers[expected])


def test_the_fastest_is_chosen_where_none_is_within_the_headroom_though_another_be_better(choose, tiers):
    choice, _ = choose(10, [FIRST, 9], [FIRST, 8.5])

    assert choice.tier == str(tiers[1])
    assert choice.p95_ms == pytest.approx({str(tiers[0]): 9, str(tiers[1]): 8.5})


def test_a_hopeless_tier_is_stopped_after_two_calls_but_not_for_one_hitch(choose):
    _, (hitched, hopeless) = choose(10, [FIRST, 9000, *[1] * 5], [FIRST, HOPELESS * 10 + 1])

    assert (hitched.calls, hopeless.calls) == (6, 3)


def test_tiers_are_timed_while_the_load_runs_in_another_thread(tiers):
    threads = set()

    choice = choose_tier(
        "eager",
        1e6,
        shape=SHAPE,
        tiers=tiers[:1],
        seconds=0.1,
        threads=1,
        load=lambda: threads.add(threading.current_thread()),
    )

    assert isinstance(choice, TierChoice)
    assert threads
    assert threading.current_thread() not in threads
    assert not any(thread.is_alive() for thread in threads)


def test_a_failure_of_the_load_reaches_the_caller(tiers):
    def broken():
        raise OSError("no landmarks today")

    with pytest.raises(OSError, match="no landmarks today"):
        choose_tier("eager", 1e6, shape=SHAPE, tiers=tiers[:1], seconds=0.1, threads=1, load=broken)


def test_a_missing_tier_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="absent"):
        choose_tier("eager", 10, shape=SHAPE, tiers=[tmp_path / "absent"])
