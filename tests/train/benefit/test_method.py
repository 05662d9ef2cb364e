from pathlib import Path

import numpy as np
import pytest

from train.benefit.method import PEERS, bicubic_method, peer_methods, plain_methods
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


@pytest.mark.parametrize("scale", [2, 4])
def test_enhanced_eyes_lie_where_the_truth_has_them(scale):
    scene = photographed(drawn_face(), 45, "clean", 1, np.random.default_rng(0), scale)
    view = bicubic_method(scale).views([scene])[0]

    assert view.image.shape == scene.sharp.shape
    assert view.interocular_px == pytest.approx(scale * 45)
    assert np.array_equal(view.at(scene.face.pupils), scene.truth().at(scene.face.pupils))
    for x, y in np.rint(view.at(scene.face.pupils)).astype(int):
        assert scene.truth().image[y, x].mean() < 60
        assert view.image[y, x].mean() < 90


def test_enlarging_by_four_is_further_from_the_truth_than_by_two():
    decibel = []
    for scale in (2, 4):
        scene = photographed(drawn_face(), 45, "clean", 1, np.random.default_rng(0), scale)
        decibel.append(eye_scores(bicubic_method(scale).views([scene])[0])["psnr_rgb"])

    assert decibel[1] < decibel[0] - 1
