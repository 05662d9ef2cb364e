import numpy as np
import pytest

from engines import DEFAULT_TIER, load_engine, shipped_tiers
from train.benefit.blink import blinks, smear_after_blink
from train.benefit.method import Method, bicubic_method, engine_method

BICUBIC = bicubic_method(2)


def mean_of_three(batch):
    n, height, width, _ = batch.shape
    return BICUBIC.enhance(batch.reshape(n, height, width, 3, 3).mean(axis=3).round().astype(np.uint8))


@pytest.mark.parametrize("closing", [True, False])
def test_in_a_mean_of_three_frames_the_old_eye_fades_by_thirds(closing):
    mean3 = Method(name="mean3", enhance=mean_of_three, frames=3)

    smear = smear_after_blink(mean3, closing=closing, condition="clean", trials=2)

    assert smear.ghost == pytest.approx([2 / 3, 1 / 3, 0], abs=0.01)
    assert smear.distance == pytest.approx([2 / 3, 1 / 3, 0], abs=0.01)


def test_noise_that_older_frames_bring_is_distance_and_no_ghost():
    def noisy(batch):
        newest = BICUBIC.enhance(batch[..., :3])
        noise = np.random.default_rng(int(batch[..., 3:].sum())).normal(0, 8, newest.shape)
        return np.clip(np.rint(newest + noise), 0, 255).astype(np.uint8)

    smear = smear_after_blink(Method(name="noisy", enhance=noisy, frames=2), trials=4)

    assert smear.distance[0] > 0.2
    assert abs(smear.ghost[0]) < 0.02


def test_the_newest_frame_alone_smears_nothing():
    newest = Method(name="newest", enhance=lambda b: BICUBIC.enhance(b[..., :3]), frames=3)

    smear = smear_after_blink(newest, trials=2)

    assert (smear.ghost == 0).all()
    assert (smear.distance == 0).all()


def test_a_mean_that_enlarges_by_four_smears_as_much():
    bicubic = bicubic_method(4)
    mean2 = Method(
        name="mean2",
        enhance=lambda b: bicubic.enhance((b[..., :3] // 2 + b[..., 3:] // 2).astype(np.uint8)),
        frames=2,
        scale=4,
    )

    assert smear_after_blink(mean2, condition="clean", trials=1).ghost == pytest.approx([1 / 2, 0, 0], abs=0.02)


@pytest.mark.parametrize("closing", [True, False], ids=["closing", "opening"])
def test_default_tier_does_not_smear_a_blink(closing):
    if DEFAULT_TIER not in shipped_tiers():
        pytest.skip("no default tier is shipped")
    with load_engine("auto", DEFAULT_TIER) as engine:
        if engine.frames == 1:
            pytest.skip("the default tier sees one frame")
        smear = smear_after_blink(engine_method(engine, "default"), closing=closing)

    assert smear.ghost[0] < 0.05
    assert smear.ghost[1] < 0.05
    assert smear.distance[0] < 0.2


def test_blinks_are_measured_of_temporal_methods_alone():
    bicubic = bicubic_method(2)
    oldest = Method(name="oldest", enhance=lambda b: bicubic.enhance(b[..., -3:]), frames=2)

    rows = blinks(oldest, trials=2)

    assert blinks(bicubic) == []
    assert len(rows) == 6
    assert all(abs(row["ghost"][1]) < 0.02 for row in rows)
    assert all(row["ghost"][0] > (0.9 if row["condition"] == "clean" else 0.8) for row in rows)
