import json

import cv2
import numpy as np
import pytest

from engines import SwinIRConfig
from engines.swinir import SwinIR
from train.data import Face, load_labelled
from train.errors import DataError
from train.evaluate import Exam, as_text, eye_patches, interpolation, network, scorable, write_json


@pytest.fixture(scope="module")
def exam(val_dir):
    return Exam(val_dir, frames=1, scale=2)


def test_an_untrained_network_scores_as_bicubic_but_for_back_projection(exam):
    model = SwinIR(SwinIRConfig(embed_dim=8, depths=(1,), heads=2)).eval()

    table = exam.table(network(model))

    assert list(table) == ["clean", "webcam", "dark"]
    for condition, methods in table.items():
        assert list(methods) == ["tier", "bicubic", "lanczos"]
        for key in ("psnr_rgb", "psnr_y", "ssim_rgb", "ssim"):
            above = 2.0 if condition == "clean" else 0.1
            assert -1.0 < methods["tier"][key] - methods["bicubic"][key] < above


def test_darker_light_costs_every_score(exam):
    clean, webcam, dark = (
        exam.table(interpolation(cv2.INTER_LINEAR, 2))[c]["tier"] for c in ("clean", "webcam", "dark")
    )

    for key in ("psnr_rgb", "psnr_y", "ssim_rgb", "ssim"):
        assert clean[key] > webcam[key] > dark[key]


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_truth_is_the_same_for_every_scale(val_dir, scale):
    faces = load_labelled(val_dir)

    patches = eye_patches(faces, "clean", frames=1, scale=scale)

    assert patches.lr.shape == (4, 96 // scale, 128 // scale, 3)
    assert patches.hr.shape == (4, 96, 128, 3)
    blocks = patches.hr.reshape(4, 96 // scale, scale, 128 // scale, scale, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(patches.lr, blocks, atol=0.51)


@pytest.mark.parametrize("condition", ["clean", "dark"])
def test_first_frames_are_the_same_for_every_number_of_frames(val_dir, condition):
    one, three = (eye_patches(load_labelled(val_dir), condition, frames=t) for t in (1, 3))

    np.testing.assert_array_equal(one.lr, three.lr[..., :3])
    np.testing.assert_array_equal(one.hr, three.hr)


@pytest.mark.parametrize("scale", [2, 4])
def test_eyes_lie_in_the_middle_of_their_windows(dotted_face, centre, scale):
    patches = eye_patches([dotted_face], "clean", frames=1, scale=scale)

    for patch, channel in zip(patches.hr, (0, 2), strict=True):
        # Windows lie on the grid of low-resolution pixels.
        assert np.abs(centre(patch[..., channel]) - (64, 48)).max() <= scale / 2 + 0.1


@pytest.mark.parametrize("scale", [2, 4])
def test_older_frame_is_as_far_off_as_asked_in_low_resolution_pixels(dotted_face, centre, scale):
    patches = eye_patches([dotted_face], "clean", frames=2, scale=scale, step=0.4)

    for patch, channel in zip(patches.lr, (0, 2), strict=True):
        apart = centre(patch[..., channel]) - centre(patch[..., 3 + channel])
        assert np.hypot(*apart) == pytest.approx(0.4, abs=0.03)


def test_faces_too_small_for_the_truth_are_left_out(portrait):
    image, eyes = portrait()
    whole = Face(image=image, eyes=np.array(eyes, np.float32))
    enlarged = Face(image=image[::2, ::2].copy(), eyes=np.array(eyes, np.float32) / 2)
    strip = Face(image=image[150:240].copy(), eyes=np.array(eyes, np.float32) - (0, 150))

    assert scorable([enlarged, whole, strip]) == [whole]


@pytest.mark.parametrize("part", ["enlarged", "strip"])
def test_folder_of_faces_that_are_all_too_small_says_so(portrait, tmp_path, part):
    image, eyes = portrait()
    image, eyes = (
        (image[::2, ::2], np.divide(eyes, 2)) if part == "enlarged" else (image[150:240], np.subtract(eyes, (0, 150)))
    )
    cv2.imwrite(str(tmp_path / "a.png"), image)
    (tmp_path / "val.json").write_text(json.dumps([{"file": "a.png", "pupil_px": eyes.tolist()}]))

    with pytest.raises(DataError, match=r"expected faces with at least 128 pixels between .* none of 1 \(.*a\.png"):
        Exam(tmp_path, frames=1, scale=2)


def test_still_frames_differ_by_their_noise_only(val_dir):
    faces = load_labelled(val_dir)

    still, moving = (eye_patches(faces, "clean", frames=2, step=step) for step in (0, 0.5))

    np.testing.assert_array_equal(still.lr[..., :3], still.lr[..., 3:])
    assert not np.array_equal(moving.lr[..., :3], moving.lr[..., 3:])


def test_temporal_network_gets_its_frames(val_dir):
    model = SwinIR(SwinIRConfig(embed_dim=8, depths=(1,), heads=2, frames=2, scale=4)).eval()

    table = Exam(val_dir, frames=2, scale=4).table(network(model))

    assert table["clean"]["tier"]["psnr_rgb"] == pytest.approx(table["clean"]["bicubic"]["psnr_rgb"], abs=0.02)


def test_fewer_faces_can_be_asked_for(val_dir):
    assert len(Exam(val_dir, frames=1, scale=2, every=2).patches["clean"].lr) == 2


def test_table_for_people_names_the_tier(exam):
    table = exam.table(interpolation(cv2.INTER_LINEAR, 2))

    lines = as_text(table, "a-tier-with-a-long-name").splitlines()

    assert len(lines) == 1 + 3 * 3
    assert lines[0].split() == ["condition", "method", "RGB", "dB", "Y", "dB", "RGB", "SSIM", "Y", "SSIM"]
    assert lines[1].split()[:2] == ["clean", "a-tier-with-a-long-name"]
    assert lines[1].split()[4:] == [f"{table['clean']['tier'][key]:.4f}" for key in ("ssim_rgb", "ssim")]
    assert len({len(line) for line in lines}) == 1


def test_json_keeps_its_contract(exam, tmp_path):
    about = {"tier": "t", "frames": 1}

    write_json(tmp_path / "scores.json", exam.table(interpolation(cv2.INTER_LINEAR, 2)), about)

    document = json.loads((tmp_path / "scores.json").read_text())
    assert {name: document[name] for name in about} == about
    for condition in ("clean", "webcam", "dark"):
        for method in ("tier", "bicubic"):
            assert set(document["conditions"][condition][method]) == {"psnr_rgb", "psnr_y", "ssim_rgb", "ssim"}


def test_perceptual_distance_is_a_column_of_its_own(val_dir):
    exam = Exam(val_dir, frames=1, scale=2, perceptual=lambda a, b: 0.25)

    table = exam.table(interpolation(cv2.INTER_LINEAR, 2))

    assert table["dark"]["lanczos"]["lpips"] == 0.25
    assert as_text(table, "t").splitlines()[0].endswith("LPIPS")


def test_folder_without_labels_says_so(tmp_path):
    with pytest.raises(DataError, match=r"expected val\.json"):
        Exam(tmp_path, frames=1, scale=2)
