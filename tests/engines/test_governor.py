"""Stepping between tiers, with the clock in the test's hands."""

from itertools import pairwise

import pytest

from engines import TierGovernor

P95_MS = {"small": 5.0, "medium": 10.0, "large": 40.0}


def run(governor, start_s, seconds, batch_ms, fps=30):
    """Feed batches at a steady rate; returns (time, tier) of each change."""
    changes = []
    for i in range(int(seconds * fps)):
        now_s = start_s + i / fps
        if tier := governor.observe(now_s, batch_ms(governor.tier) if callable(batch_ms) else batch_ms):
            changes.append((now_s, tier))
    return changes


def test_sustained_overload_steps_down_once_the_wait_is_over():
    governor = TierGovernor(P95_MS, "medium", budget_ms=20)

    changes = run(governor, 0, 10, {"medium": 30.0, "small": 15.0}.get)

    assert [tier for _, tier in changes] == ["small"]
    assert 2 <= changes[0][0] <= 4


def test_a_short_spike_changes_nothing():
    governor = TierGovernor(P95_MS, "medium", budget_ms=20)
    run(governor, 0, 10, 10.0)

    assert run(governor, 10, 0.8, 100.0) == []
    assert run(governor, 10.8, 5, 10.0) == []


def test_long_idleness_steps_up_when_the_larger_tier_is_expected_to_fit():
    governor = TierGovernor(P95_MS, "small", budget_ms=20)

    changes = run(governor, 0, 60, P95_MS.get)

    assert [tier for _, tier in changes] == ["medium"]  # large would take 40 ms
    assert 20 <= changes[0][0] <= 23


def test_a_step_up_that_had_to_be_taken_back_waits_twice_as_long_each_time():
    governor = TierGovernor({"small": 5.0, "medium": 10.0}, "small", budget_ms=20)

    changes = run(governor, 0, 200, {"small": 5.0, "medium": 30.0}.get)

    ups = [at_s for at_s, tier in changes if tier == "medium"]
    downs = [at_s for at_s, tier in changes if tier == "small"]
    waits = [ups[0], *(up - down for down, up in zip(downs, ups[1:], strict=False))]
    assert len(waits) >= 3
    assert all(later >= 1.8 * earlier for earlier, later in pairwise(waits))


def test_the_smallest_tier_stays_however_slow_it_is():
    governor = TierGovernor(P95_MS, "small", budget_ms=20)

    assert run(governor, 0, 30, 100.0) == []


def test_a_tier_that_was_never_timed_is_refused():
    with pytest.raises(ValueError, match="expected one of small, medium, large, got 'huge'"):
        TierGovernor(P95_MS, "huge", budget_ms=20)
