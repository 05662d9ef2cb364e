import json
from dataclasses import replace

import pytest
import torch

from train.config import LossConfig, TrainConfig
from train.errors import ResumeError, TrainError
from train.state import load_state, read_state, save_state

CONFIG = TrainConfig()
STATE = {
    "step": 3,
    "rng": torch.get_rng_state(),
    "before": [],
    "data": {"faces": 3, "manifest_sha256": "ab"},
    "source": {"torch": "2.13", "revision": "cd"},
    "critic_from": None,
    "generator": {"w": torch.ones(4)},
    "average": {"w": torch.zeros(4)},
    "optimiser": {},
    "scaler": {},
}
DATA = STATE["data"]


def test_what_was_saved_is_loaded(tmp_path):
    path = tmp_path / "run" / "state.pt"

    save_state(path, CONFIG, STATE)

    loaded = load_state(path, CONFIG, DATA)
    assert loaded["step"] == 3
    assert torch.equal(loaded["generator"]["w"], torch.ones(4))
    assert [p.name for p in path.parent.iterdir()] == ["state.pt"]


def test_full_disk_leaves_the_old_state_and_no_half_written_file(tmp_path, disk_of):
    path = tmp_path / "state.pt"
    save_state(path, CONFIG, STATE)
    before = path.read_bytes()

    with disk_of(20_000), pytest.raises(TrainError, match="the last saved state is kept; free some space"):
        save_state(path, CONFIG, STATE | {"step": 4, "generator": {"w": torch.ones(50_000)}})

    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["state.pt"]


def test_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(TrainError, match="cannot be written"):
        save_state(tmp_path / "file" / "state.pt", CONFIG, STATE)


@pytest.mark.parametrize(
    "change",
    [
        {"steps": 5},
        {"learning_rate": 0.5},
        {"workers": 0},
        {"milestones": (0.1,)},
        {"save_every": 7},
    ],
    ids=lambda change: next(iter(change)),
)
def test_run_may_go_on_with_these_changed(tmp_path, change):
    save_state(tmp_path / "state.pt", CONFIG, STATE)

    assert load_state(tmp_path / "state.pt", replace(CONFIG, **change), DATA)["step"] == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, "seed: expected 1, got 0"),
        ({"batch": 8}, "batch: expected 8, got 16"),
        ({"degradation": replace(CONFIG.degradation, jpeg=0.5)}, r"degradation\.jpeg: expected 0\.5, got 0\.88"),
        ({"network": replace(CONFIG.network, scale=4)}, r"network\.scale: expected 4, got 2"),
    ],
    ids=["seed", "batch", "degradation", "network"],
)
def test_state_of_another_configuration_is_refused(tmp_path, change, message):
    save_state(tmp_path / "state.pt", CONFIG, STATE)

    with pytest.raises(ResumeError, match=message):
        load_state(tmp_path / "state.pt", replace(CONFIG, **change), DATA)


def test_state_of_other_faces_is_refused(tmp_path):
    save_state(tmp_path / "state.pt", CONFIG, STATE)

    with pytest.raises(ResumeError, match=r"data_dir\.manifest_sha256: expected 'cd', got 'ab'"):
        load_state(tmp_path / "state.pt", CONFIG, DATA | {"manifest_sha256": "cd"})


def test_field_that_is_newer_than_the_state_is_not_compared(tmp_path):
    path = tmp_path / "state.pt"
    save_state(path, CONFIG, STATE)
    state = torch.load(path, weights_only=True)
    config = json.loads(state["config"])
    del config["degradation"]["shadow"]
    torch.save(state | {"config": json.dumps(config)}, path)

    assert load_state(path, CONFIG, DATA)["step"] == 3


@pytest.mark.parametrize(
    "part", ["step", "before", "data", "source", "critic_from", "average", "optimiser", "config", "critic", "network"]
)
def test_state_without_one_of_its_parts_names_it(tmp_path, part):
    config = replace(CONFIG, loss=LossConfig(adversarial=0.01))
    save_state(tmp_path / "state.pt", config, STATE | {"critic": {}, "critic_optimiser": {}})
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    if part == "network":
        state["config"] = json.dumps({"loss": {"adversarial": 0.01}})
    else:
        del state[part]
    torch.save(state, tmp_path / "state.pt")

    with pytest.raises(ResumeError, match=rf"not a run's state: .*{part}"):
        read_state(tmp_path / "state.pt")


def test_run_that_has_saved_nothing_is_not_told_to_remove_it(tmp_path):
    with pytest.raises(ResumeError, match="expected a run's state, found none; let the run go on until it has saved"):
        read_state(tmp_path / "state.pt")


@pytest.mark.parametrize("damage", ["empty", "text", "cut off", "another file", "tensor", "pickle"])
def test_damaged_state_is_refused_in_one_line(tmp_path, damage):
    path = tmp_path / "state.pt"
    save_state(path, CONFIG, STATE)
    data = path.read_bytes()
    match damage:
        case "empty":
            path.write_bytes(b"")
        case "text":
            path.write_text("not a state")
        case "cut off":
            path.write_bytes(data[: len(data) // 2])
        case "another file":
            torch.save({"step": 3}, path)
        case "tensor":
            torch.save(torch.ones(3), path)
        case "pickle":
            torch.save({"config": replace}, path)

    with pytest.raises(ResumeError, match="not a run's state") as caught:
        read_state(path)

    assert "\n" not in str(caught.value)
