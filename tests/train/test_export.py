from dataclasses import replace

import numpy as np
import pytest
import torch

from engines import CheckpointError, SwinIRConfig, load_checkpoint, save_checkpoint
from engines.swinir import SwinIR
from train.errors import ResumeError, TrainError
from train.export import export, interpolated, load_weights, of_frames
from train.loop import train

NETWORK = SwinIRConfig(embed_dim=8, depths=(1,), heads=2)


@pytest.fixture
def pair(tmp_path):
    """Paths of two checkpoints of one network: all zeros, all ones."""
    shapes = NETWORK.parameter_shapes()
    return [
        str(
            save_checkpoint(
                tmp_path / name,
                NETWORK,
                {k: np.full(s, v, np.float32) for k, s in shapes.items()},
                {"stages": [{"steps": v}], "scores": {}},
            )
        )
        for name, v in (("zeros", 0), ("ones", 1))
    ]


@pytest.mark.parametrize("source", ["", "state.pt", "run.safetensors"])
def test_run_gives_its_moving_average(tiny, tmp_path, source):
    config = tiny()
    expected = load_checkpoint(train(config))

    written = load_checkpoint(export(load_weights(str(config.out / source)), tmp_path / "tier"))

    assert written.config == config.network
    assert written.sha256 == expected.sha256
    (stage,) = written.record["stages"]
    assert (stage["steps"], stage["config"]["out"]) == (6, "run")
    assert stage == expected.record["stages"][0]


def test_export_names_the_source_that_trained(tiny):
    train(config := tiny(steps=1))
    state = torch.load(config.out / "state.pt", weights_only=True)
    torch.save(state | {"source": {"torch": "0.1", "revision": "ab"}}, config.out / "state.pt")

    (stage,) = load_weights(str(config.out)).record["stages"]

    assert (stage["torch"], stage["revision"]) == ("0.1", "ab")


def test_record_names_every_stage_from_the_first(tiny, tmp_path):
    first = train(tiny(steps=2))

    second = load_checkpoint(train(tiny(steps=3, init=str(first), out=tmp_path / "second")))
    exported = load_weights(str(tmp_path / "second" / "state.pt"))

    assert [stage["steps"] for stage in second.record["stages"]] == [2, 3]
    assert second.record["stages"][1]["config"]["init"] == "run.safetensors"
    assert exported.record["stages"] == second.record["stages"]


@pytest.mark.parametrize("weight", [0.0, 0.25, 1.0])
def test_weights_lie_between_two_checkpoints(pair, tmp_path, weight):
    written = load_checkpoint(export(interpolated(*pair, weight), tmp_path / "mix"))

    assert all((tensor == np.float32(weight)).all() for tensor in written.tensors.values())
    parts = [{"weight": 1 - weight, "stages": [{"steps": 0}]}, {"weight": weight, "stages": [{"steps": 1}]}]
    assert written.record == {"stages": [{"interpolated": parts}]}


def test_history_outlives_means_other_frames_and_training(pair, tiny, tmp_path):
    mean = export(interpolated(*pair, 0.5), tmp_path / "mean")
    of_means = export(interpolated(str(mean), pair[1], 0.25), tmp_path / "of-means")
    spread = export(of_frames(load_weights(str(of_means)), 2), tmp_path / "spread")

    config = tiny(init=str(spread), network=replace(NETWORK, frames=2), steps=1)
    of_means_stage, spread_stage, trained = load_checkpoint(train(config)).record["stages"]

    inner = load_checkpoint(mean).record["stages"]
    assert of_means_stage == {
        "interpolated": [{"weight": 0.75, "stages": inner}, {"weight": 0.25, "stages": [{"steps": 1}]}]
    }
    assert spread_stage == {"frames": 2, "shared_out_from": 1}
    assert trained["steps"] == 1


def test_record_of_an_older_shape_keeps_its_history(pair):
    older = load_weights(pair[0])
    older = replace(older, record={"interpolated": [{"weight": 1.0, "stages": [{"steps": 3}]}], "quality": 2.0})

    assert of_frames(older, 2).record["stages"][0] == {"interpolated": older.record["interpolated"]}


def test_checkpoints_of_two_networks_do_not_mix(pair, tmp_path):
    other = SwinIRConfig(embed_dim=16, depths=(1,), heads=2)
    path = save_checkpoint(tmp_path / "other", other, SwinIR(other).tensors(), {})

    with pytest.raises(TrainError, match="expected two checkpoints of one network"):
        interpolated(pair[0], str(path), 0.5)


def test_weight_outside_of_the_line_is_refused(pair):
    with pytest.raises(TrainError, match=r"weight: expected 0 to 1, got 1\.5"):
        interpolated(*pair, 1.5)


def test_scores_and_maxima_go_into_the_record(tmp_path, val_dir):
    path = save_checkpoint(tmp_path / "untrained", NETWORK, SwinIR(NETWORK).tensors(), {"kept": 1})

    record = load_checkpoint(export(load_weights(str(path)), tmp_path / "scored", val_dir)).record

    assert record["kept"] == 1
    assert set(record["scores"]) == {"clean", "webcam", "dark"}
    assert len(record["block_max"]) == 1
    assert record["block_max"][0] > 0


@pytest.mark.parametrize(("name", "error"), [("gone", CheckpointError), ("gone.pt", ResumeError), ("", ResumeError)])
def test_source_that_is_not_there_is_named(tmp_path, name, error):
    with pytest.raises(error, match=tmp_path.name):
        load_weights(str(tmp_path / name))


def test_weights_for_more_frames_see_a_still_face_alike(pair):
    one = load_weights(pair[1])
    three = of_frames(of_frames(one, 2), 3)

    assert three.config.frames == 3
    assert three.record["stages"][-1] == {"frames": 3, "shared_out_from": 2}
    SwinIR.from_checkpoint(three.checkpoint("three"))  # all shapes are right
    first, shared = (weights.tensors["conv_first.weight"] for weights in (one, three))
    np.testing.assert_allclose(shared.sum(axis=1), first.sum(axis=1), rtol=1e-6)
