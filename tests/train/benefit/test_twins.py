import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from train.benefit.synthetic import drawn_faces
from train.benefit.twins import ALIKE, fingerprint, refuse_twins, twins
from train.errors import DataError

DATA = Path(__file__).parents[4] / "shared" / "data"


def photo():
    return np.ascontiguousarray(astronaut()[:300, 50:400, ::-1])


def write(folder, pictures, suffix="png"):
    folder.mkdir()
    for i, picture in enumerate(pictures):
        cv2.imwrite(str(folder / f"{i}.{suffix}"), picture)
    (folder / "faces.json").write_text(json.dumps([{"file": f"{i}.{suffix}"} for i in range(len(pictures))]))
    return folder / "faces.json"


@pytest.mark.parametrize(
    "changed",
    [
        lambda image: cv2.resize(image, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA),
        lambda image: cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], cv2.IMREAD_COLOR),
        lambda image: cv2.convertScaleAbs(image, alpha=0.8, beta=20),
        lambda image: image[2:, 3:],
    ],
    ids=["smaller", "jpeg", "lighter", "cropped"],
)
def test_a_photograph_stays_itself(changed):
    assert (fingerprint(changed(photo())) != fingerprint(photo())).mean() <= ALIKE


def test_a_photograph_under_another_name_is_found(tmp_path):
    drawn = [face.image for face in drawn_faces(2)]
    ours = write(tmp_path / "a", [drawn[0], photo()])
    theirs = write(tmp_path / "b", [photo()[::-1], cv2.resize(photo(), None, fx=0.5, fy=0.5)], "jpg")

    assert twins(ours, theirs) == [(tmp_path / "a" / "1.png", tmp_path / "b" / "1.jpg")]
    with pytest.raises(DataError, match=r"got 1 that it has .*1\.png is .*1\.jpg"):
        refuse_twins(ours, theirs)


@pytest.mark.parametrize("text", ["{", "[{}]", '"faces"', "[1]", "[]"])
def test_what_is_no_manifest_is_an_error(tmp_path, text):
    (tmp_path / "val.json").write_text(text)

    with pytest.raises(DataError, match=r"val\.json: expected"):
        twins(tmp_path / "val.json", write(tmp_path / "b", [photo()]))


def test_different_pictures_are_no_twins(tmp_path):
    refuse_twins(write(tmp_path / "a", [photo()]), write(tmp_path / "b", [photo()[:, ::-1], drawn_faces(1)[0].image]))


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the faces in ../shared/data")
def test_no_face_that_weights_are_judged_on_was_trained_on():
    refuse_twins(DATA / "val.json", DATA / "train.json")


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the faces in ../shared/data")
def test_training_and_test_share_no_source_and_nobody_is_tested_twice():
    train, val = (json.loads((DATA / name).read_text()) for name in ("train.json", "val.json"))

    assert not {row["source"] for row in train} & {row["source"] for row in val}
    assert len({Path(row["file"]).stem.split("_")[0] for row in val}) == len(val)
