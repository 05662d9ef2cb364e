import json

import cv2
import numpy as np
import pytest
from camera_noise import CameraNoiseConfig, main, measure


@pytest.fixture
def recorded(tmp_path):
    """A grey wall under a camera's noise, as a losslessly compressed clip."""

    def record(sigma, frames=12):
        path, rng = tmp_path / "wall.avi", np.random.default_rng(0)
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"FFV1"), 30, (160, 96))
        for _ in range(frames):
            noisy = 120 + rng.normal(0, sigma, (96, 160, 3)) if sigma else np.full((96, 160, 3), 120.0)
            writer.write(np.clip(np.rint(noisy), 0, 255).astype(np.uint8))
        writer.release()
        return path

    return record


@pytest.mark.parametrize("sigma", [2.0, 6.0])
def test_white_noise_is_measured_as_it_was_made(recorded, sigma):
    noise = measure(recorded(sigma))

    assert noise.frames == 12
    assert noise.copied_share == 0
    assert noise.std_bgr == pytest.approx([sigma] * 3, rel=0.08)
    assert [noise.correlation_right, noise.correlation_below] == pytest.approx([0, 0], abs=0.1)
    assert noise.correlation_successive == pytest.approx(-0.5, abs=0.08)
    luma = sigma * np.sqrt(0.114**2 + 0.587**2 + 0.299**2)
    assert noise.std_single_frame == pytest.approx(luma, rel=0.15)


def test_a_clip_in_which_all_was_copied_says_so(recorded):
    with pytest.raises(ValueError, match="expected a clip with still places, got 12 frames without any"):
        measure(recorded(0.0))


def test_a_clip_that_fails_leaves_those_before_it(recorded, tmp_path, capsys):
    good, bad = recorded(2.0).rename(tmp_path / "good.avi"), recorded(0.0)

    with pytest.raises(ValueError, match=r"wall\.avi"):
        main(CameraNoiseConfig(clips=(good, bad), json=tmp_path / "noise.json"))

    document = json.loads((tmp_path / "noise.json").read_text())
    assert ([row["clip"] for row in document["clips"]], document["complete"]) == (["good.avi"], False)
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == document


def test_the_last_line_is_the_document(recorded, capsys):
    document = main(CameraNoiseConfig(clips=(recorded(2.0),)))

    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == document
    assert document["complete"]
