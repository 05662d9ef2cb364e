from time import monotonic, sleep

import numpy as np
import pytest
from fakes import FakeCropper, FakeFaceMesh, a_frame, noise

from engines import SwinIRConfig, save_checkpoint, shipped_tiers
from engines.choose import candidates
from realtime.config import EngineChoice
from realtime.frames import Enhanced
from realtime.tiers import Tiers

SMALL = SwinIRConfig(embed_dim=16, depths=(2,), heads=2)


@pytest.fixture
def checkpoint(tmp_path):
    rng = np.random.default_rng(0)
    tensors = {k: 0.02 * rng.standard_normal(s).astype(np.float32) for k, s in SMALL.parameter_shapes().items()}
    return save_checkpoint(tmp_path / "small", SMALL, tensors, {})


def enhanced_by(tier, ended_s, took_ms):
    frame = a_frame(noise(0))
    crops = FakeCropper()(frame, FakeFaceMesh(lambda seq: [[290, 200], [335, 202]])(frame))
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


@pytest.mark.skipif(not shipped_tiers() or len(candidates()) < 2, reason="fewer than two tiers to choose from")
def test_under_sustained_overload_auto_steps_down_and_the_stream_goes_on():
    # A very slow camera: the largest tier fits.
    tiers = Tiers(EngineChoice(tier="auto"), fps=lambda: 0.5, load=lambda: None)
    began_with = tiers.engine.tier
    names = [checkpoint.name for checkpoint in candidates()]
    batch = np.zeros((2, 32, 48, 3 * tiers.engine.frames), np.uint8)

    with tiers.engine as engine:
        for tick in range(200):
            tiers.observe(enhanced_by(began_with, tick / 30, 10_000))
        until = monotonic() + 30
        while engine.tier == began_with and monotonic() < until:
            assert engine(batch).shape == (2, 64, 96, 3)
            sleep(0.05)

        assert names.index(engine.tier) < names.index(began_with)
