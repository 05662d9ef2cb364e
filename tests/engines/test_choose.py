"""Choosing a tier by timing."""

import threading

import pytest

from engines import CheckpointError, TierChoice, choose_tier

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
