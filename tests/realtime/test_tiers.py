from functools import cache
from time import monotonic, sleep

import numpy as np
import pytest
from fakes import FakeCropper, FakeFaceMesh, a_frame, noise

from engines import SwinIRConfig, save_checkpoint, shipped_tiers
from realtime.config import EngineChoice
from realtime.frames import Enhanced
from realtime.tiers import Tiers

SMALL = SwinIRConfig(embed_dim=16, depths=(2,), heads=2)


def save(path, config):
    rng = np.random.default_rng(0)
    tensors = {k: 0.02 * rng.standard_normal(s).astype(np.float32) for k, s in config.parameter_shapes().items()}
    return save_checkpoint(path, config, tensors, {})


@pytest.fixture
def checkpoint(tmp_path):
    return save(tmp_path / "small", SMALL)


@pytest.fixture
def two_tiers(tmp_path):
    """Paths of "little", which is several times as fast and sees one frame, and "large", which sees three."""
    little = SwinIRConfig(embed_dim=4, depths=(1,), heads=1)
    large = SwinIRConfig(embed_dim=32, depths=(2,), heads=2, frames=3)
    return [save(tmp_path / "little", little), save(tmp_path / "large", large)]


@cache
def some_crops():
    frame = a_frame(noise(0))
    return FakeCropper()(frame, FakeFaceMesh(lambda seq: [[290, 200], [335, 202]])(frame))


def enhanced_by(tier, ended_s, took_ms):
    crops = some_crops()
    ended_ns = round(ended_s * 1e9)
    return Enhanced(
        crops=crops,
        patches=crops.patches,
        face=None,
        scale=2,
        engine="eager",
        tier=tier,
        model_sha256="",
        stamps_ns={"engine_wait": ended_ns - round(took_ms * 1e6), "engine": ended_ns},
    )


def test_a_tier_that_was_named_is_opened_and_stays(checkpoint):
    tiers = Tiers(EngineChoice(engine="eager", tier=str(checkpoint)), fps=lambda: 30, load=lambda: None)

    with tiers.engine as engine:
        for second in range(10):
            tiers.observe(enhanced_by("small", second, 500))

        assert engine(np.zeros((1, 16, 16, 3), np.uint8)).shape == (1, 32, 32, 3)
        assert engine.tier == "small"
        assert tiers.facts == {}


def test_bicubic_needs_no_weights():
    tiers = Tiers(EngineChoice(engine="bicubic", tier="auto"), fps=lambda: 30, load=lambda: None)

    with tiers.engine as engine:
        assert (engine.name, engine.tier) == ("bicubic", "bicubic")


@pytest.mark.skipif(not shipped_tiers(), reason="no tiers are shipped")
def test_auto_takes_a_shipped_tier_after_timing_it_beside_the_other_work():
    calls = []

    tiers = Tiers(EngineChoice(tier="auto"), fps=lambda: 30, load=lambda: calls.append(1))

    with tiers.engine as engine:
        assert engine.tier in shipped_tiers()
        assert calls


def serve_until(tiers, tier, within_s=30):
    """Run batches until that tier makes them."""
    batch = np.zeros((1, 16, 16, 3 * tiers.engine.frames), np.uint8)
    until = monotonic() + within_s
    while tiers.engine.tier != tier:
        assert monotonic() < until, f"still {tiers.engine.tier} after {within_s} s"
        assert tiers.engine(batch).shape == (1, 32, 32, 3)
        sleep(0.02)


def test_auto_steps_down_under_sustained_overload_and_up_again_when_it_is_over(two_tiers):
    # A very slow camera, so that the large tier fits however slow this machine is.
    tiers = Tiers(EngineChoice(engine="eager", tier="auto"), fps=lambda: 0.2, load=lambda: None, tiers=two_tiers)

    with tiers.engine as engine:
        assert (engine.tier, engine.frames) == ("large", 3)
        for tick in range(150):
            tiers.observe(enhanced_by("large", tick / 30, 10_000))
        serve_until(tiers, "little")
        for tick in range(150, 900):
            tiers.observe(enhanced_by("little", tick / 30, 1))
        serve_until(tiers, "large")


def test_better_tiers_that_are_too_slow_are_told_with_what_they_took(two_tiers, tmp_path):
    huge = save(tmp_path / "huge", SwinIRConfig(embed_dim=96, depths=(6, 6), heads=4))

    tiers = Tiers(
        EngineChoice(engine="eager", tier="auto"), fps=lambda: 60, load=lambda: None, tiers=[two_tiers[0], huge]
    )

    with tiers.engine as engine:
        assert engine.tier == "little"
    took_ms, allowed_ms = tiers.facts["tiers_p95_ms"], tiers.facts["tier_budget_ms"]
    assert took_ms["huge"] > allowed_ms == pytest.approx(0.8 * 1000 / 60 / 2, abs=0.01)
    told = f"tier little: huge takes {took_ms['huge']:.1f} ms (p95 of both eyes), {allowed_ms:.1f} ms allowed"
    assert tiers.facts["tier_passed_over"] == told


def test_the_best_tier_passes_none_over(two_tiers):
    tiers = Tiers(EngineChoice(engine="eager", tier="auto"), fps=lambda: 0.2, load=lambda: None, tiers=two_tiers)

    tiers.engine.close()

    assert list(tiers.facts["tiers_p95_ms"]) == ["little", "large"]
    assert tiers.facts["tier_passed_over"] is None


def reason_after(tiers, tier, seconds, took_ms):
    """What is said after these seconds at 30 batches each, all made by that tier."""
    for tick in range(seconds.start * 30, seconds.stop * 30):
        tiers.observe(enhanced_by(tier, tick / 30, took_ms))
    return tiers.reason


def test_the_reason_of_a_step_stands_while_the_smaller_tier_serves_and_shortly_after_a_step_up(two_tiers):
    tiers = Tiers(EngineChoice(engine="eager", tier="auto"), fps=lambda: 0.2, load=lambda: None, tiers=two_tiers)

    with tiers.engine:
        assert reason_after(tiers, "large", range(5), 10_000) is None  # it has asked, and large still serves
        too_slow = "large -> little: too slow for 0.2 frames a second"
        assert reason_after(tiers, "little", range(5, 15), 1) == too_slow
        assert reason_after(tiers, "bicubic", range(15, 16), 1) == too_slow
        assert reason_after(tiers, "little", range(16, 60), 1) == too_slow
        assert reason_after(tiers, "large", range(60, 69), 1) == "little -> large: fast enough for 0.2 frames a second"
        assert reason_after(tiers, "large", range(69, 72), 1) is None


def test_a_tier_that_comes_unasked_ends_the_reason_of_the_last_step(two_tiers):
    tiers = Tiers(EngineChoice(engine="eager", tier="auto"), fps=lambda: 0.2, load=lambda: None, tiers=two_tiers)

    with tiers.engine:
        reason_after(tiers, "large", range(5), 10_000)
        assert reason_after(tiers, "little", range(5, 6), 1) is not None
        assert reason_after(tiers, "large", range(6, 7), 1) is None


def test_a_tier_that_cannot_be_opened_leaves_the_one_that_serves_and_is_tried_again(two_tiers, caplog):
    tiers = Tiers(EngineChoice(engine="eager", tier="auto"), fps=lambda: 0.2, load=lambda: None, tiers=two_tiers)
    kept = two_tiers[0].read_bytes()
    two_tiers[0].write_bytes(b"damaged")

    with tiers.engine as engine:
        batch = np.zeros((1, 16, 16, 9), np.uint8)
        for tick in range(150):
            tiers.observe(enhanced_by("large", tick / 30, 10_000))
        until = monotonic() + 30
        while not caplog.records and monotonic() < until:
            engine(batch)
            sleep(0.02)
        assert engine.tier == "large"
        two_tiers[0].write_bytes(kept)
        for tick in range(150, 600):
            tiers.observe(enhanced_by("large", tick / 30, 10_000))
        serve_until(tiers, "little")

    assert "little" in caplog.records[0].getMessage()
