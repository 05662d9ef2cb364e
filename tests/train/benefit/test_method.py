from pathlib import Path

import numpy as np
import pytest

from engines import SwinIRConfig, load_engine, save_checkpoint
from engines.swinir import SwinIR
from train.benefit.method import PEERS, engine_method, peer_methods, plain_methods
from train.benefit.scene import photographed
from train.benefit.study import eye_scores
from train.benefit.synthetic import drawn_face
from train.errors import DataError

FOLDER = Path(__file__).parents[4] / "shared" / "models" / "peers"
needs_peers = pytest.mark.skipif(not FOLDER.is_dir(), reason="needs FSRCNN and ESPCN in ../shared/models/peers")


@needs_peers
def test_peers_are_nearer_to_the_truth_than_bicubic_on_a_clean_eye():
    scene = photographed(drawn_face(), 60, "clean", 1, np.random.default_rng(0))

    decibel = {
        method.name: eye_scores(method.views([scene])[0])["psnr_rgb"]
        for method in [*plain_methods()[1:], *peer_methods(FOLDER)]
    }

    assert set(decibel) == {"bilinear", "bicubic", "lanczos", "fsrcnn", "espcn"}
    assert min(decibel["fsrcnn"], decibel["espcn"]) > decibel["bicubic"]


@needs_peers
def test_peers_see_the_newest_frame_alone():
    scene = photographed(drawn_face(), 45, "webcam", 3, np.random.default_rng(0))

    for method in peer_methods(FOLDER):
        patches = method.enhance(scene.patches(method.frames))

        assert patches.dtype == np.uint8
        assert patches.shape == (2, 2 * scene.windows[0][3], 2 * scene.windows[0][2], 3)


def test_peers_that_are_not_there_are_a_clear_error(tmp_path):
    with pytest.raises(DataError, match=r"FSRCNN_x2\.pb: cannot be read as a model of OpenCV's dnn_superres"):
        peer_methods(tmp_path)


def test_peers_that_are_no_networks_are_a_clear_error(tmp_path):
    for name in PEERS:
        (tmp_path / f"{name}_x2.pb").write_bytes(b"no network")

    with pytest.raises(DataError, match="cannot be read"):
        peer_methods(tmp_path)


def test_an_engine_of_another_scale_is_refused(tmp_path):
    config = SwinIRConfig(scale=4, embed_dim=8, depths=(1,), heads=2)
    path = save_checkpoint(tmp_path / "x4", config, SwinIR(config).tensors(), {})

    with (
        load_engine("eager", str(path)) as engine,
        pytest.raises(ValueError, match="expected a tier of scale 2, got 4"),
    ):
        engine_method(engine, "x4")
