import numpy as np
import torch

from engines import SwinIRConfig
from engines.swinir import SwinIR
from train.config import TrainConfig
from train.record import block_maxima, data_record, training_record


def test_record_says_how_and_names_no_place():
    config = TrainConfig(seed=3).to_json() | {
        "data_dir": "/home/someone/faces",
        "out": "/mnt/runs/small",
        "init": "/mnt/x/a",
    }

    record = training_record(config, 70, {"faces": 9, "manifest_sha256": "ab"})

    assert (record["steps"], record["config"]["seed"]) == (70, 3)
    assert (record["faces"], record["manifest_sha256"]) == (9, "ab")
    assert [record["config"][name] for name in ("data_dir", "out", "init")] == ["faces", "small", "a"]
    assert "val_dir" not in record["config"]
    assert record["torch"] == torch.__version__
    assert record["revision"]


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
