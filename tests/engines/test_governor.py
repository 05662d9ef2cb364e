"""Stepping between tiers, with the clock in the test's hands."""

from itertools import pairwise

import pytest

from engines import TierGovernor

P95_MS = {"small": 5.0, "medium": 10.0, "large": 40.0}


def run(governor, start_s, seconds, batch_ms, fps=30, opens=lambda tier: True):
    """Feed batches at a steady rate, of the tier asked for where it opens; returns (time, tier) of each request."""
    requests, serving = [], governor.tier
    for i in range(int(seconds * fps)):
        now_s = start_s + i / fps
        if tier := governor.observe(now_s, batch_ms(serving) if callable(batch_ms) else batch_ms, serving):
            requests.append((now_s, tier))
            serving = tier if opens(tier) else serving
    return requests


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


def test_a_change_that_does_not_come_is_asked_for_again_and_the_tier_that_serves_goes_on_counting():
    governor = TierGovernor(P95_MS, "medium", budget_ms=20)

    requests = run(governor, 0, 40, 30.0, opens=lambda tier: False)

    assert {tier for _, tier in requests} == {"small"}
    assert governor.tier == "medium"
    waits = [later - earlier for (earlier, _), (later, _) in pairwise(requests)]
    assert waits == pytest.approx([10] * len(waits), abs=0.1)
    assert len(waits) >= 2


def test_a_tier_that_an_engine_in_reserve_brought_is_judged_like_any_other():
    governor = TierGovernor(P95_MS, "small", budget_ms=20)
    for i in range(30):
        assert governor.observe(i / 30, 5.0, "bicubic") is None

    requests = [governor.observe(1 + i / 30, 30.0, "large") for i in range(120)]

    assert governor.tier == "large"
    assert [tier for tier in requests if tier] == ["medium"]


def test_the_smallest_tier_stays_however_slow_it_is():
    governor = TierGovernor(P95_MS, "small", budget_ms=20)

    assert run(governor, 0, 30, 100.0) == []


def test_a_tier_that_was_never_timed_is_refused():
    with pytest.raises(ValueError, match="expected one of small, medium, large, got 'huge'"):
        TierGovernor(P95_MS, "huge", budget_ms=20)


def test_what_it_remembers_and_how_long_it_waits_have_an_end():
    governor = TierGovernor({"small": 5.0, "medium": 10.0}, "small", budget_ms=20)

    changes = run(governor, 0, 7200, {"small": 5.0, "medium": 30.0}.get, fps=10)

    ups = [at_s for at_s, tier in changes if tier == "medium"]
    assert max(later - earlier for earlier, later in pairwise(ups)) < 610
    assert len(governor._samples) <= 10 * 20 + 1
