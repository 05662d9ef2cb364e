import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

import train
from engines import SwinIRConfig, load_checkpoint, shipped_tiers
from engines.swinir import SwinIR
from train.config import TrainConfig
from train.record import block_maxima, data_record, history, revision, source_record, training_record


def test_record_says_how_and_names_no_place():
    config = TrainConfig(seed=3).to_json() | {
        "data_dir": "/home/someone/faces",
        "out": "/mnt/runs/small",
        "init": "/mnt/x/a",
    }

    record = training_record(config, 70, {"faces": 9, "manifest_sha256": "ab"}, {"torch": "2", "revision": "cd"})

    assert (record["steps"], record["config"]["seed"]) == (70, 3)
    assert (record["faces"], record["manifest_sha256"]) == (9, "ab")
    assert [record["config"][name] for name in ("data_dir", "out", "init")] == ["faces", "small", "a"]
    assert "val_dir" not in record["config"]
    assert (record["torch"], record["revision"]) == ("2", "cd")


def test_configuration_that_is_older_than_a_field_has_a_record():
    config = TrainConfig().to_json()
    del config["tracker"]

    assert training_record(config, 1, {}, {})["config"]["out"] == "run"


def test_source_is_known_by_torch_s_version_and_its_own_revision():
    assert source_record() == {"torch": torch.__version__, "revision": revision(Path(train.__file__).parent)}


def test_revision_says_when_a_tracked_file_was_changed(tmp_path):
    def git(*arguments):
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        return subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    (tmp_path / "tracked").write_text("1")
    git("add", "tracked")
    git("commit", "-qm", "first")
    git("tag", "-a", "v1", "-m", "a tag is not what is asked for")
    head = git("rev-parse", "HEAD")

    (tmp_path / "untracked").write_text("")
    clean = revision(tmp_path)
    (tmp_path / "tracked").write_text("2")

    assert clean == head
    assert revision(tmp_path) == f"{head}+dirty"


def test_revision_outside_of_a_checkout_is_unknown(tmp_path):
    assert revision(tmp_path) == "unknown"


def test_history_is_read_from_records_of_every_age():
    parts = [{"weight": 0.5, "stages": [{"steps": 1}]}, {"weight": 0.5, "stages": [{"steps": 2}]}]

    assert history({"stages": [{"steps": 1}], "scores": {}}) == [{"steps": 1}]
    assert history({"interpolated": parts, "quality": 2.0}) == [{"interpolated": parts}]
    assert history({"auto": False}) == []


@pytest.mark.parametrize("tier", shipped_tiers())
def test_every_shipped_record_has_a_history(tier):
    assert history(load_checkpoint(tier).record)


def test_data_are_known_by_the_number_of_faces_and_the_manifest_s_bytes(tmp_path):
    (tmp_path / "manifest.json").write_bytes(b"abc")

    record = data_record(5, tmp_path / "manifest.json")

    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # of FIPS 180-2, appendix B.1
    assert record == {"faces": 5, "manifest_sha256": abc}


def test_maxima_are_those_of_each_group_s_output():
    torch.manual_seed(0)
    model = SwinIR(SwinIRConfig(embed_dim=8, depths=(1, 2), heads=2)).eval()
    batch = np.random.default_rng(0).integers(0, 256, (2, 8, 16, 3), dtype=np.uint8)

    first, second = block_maxima(model, batch)
    with torch.no_grad():
        model.groups[1].conv.bias += 100

    assert 0 < first < 50
    assert block_maxima(model, batch)[0] == first
    assert abs(block_maxima(model, batch)[1] - (100 + second)) < 2 * second
