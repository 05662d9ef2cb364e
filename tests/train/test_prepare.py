import json

import cv2
import numpy as np
import pytest

from train.data import load_faces
from train.errors import DataError
from train.prepare import prepare


@pytest.fixture
def pictures(tmp_path, portrait):
    """Two faces, one of them deeper down, one small, one without a face, one cut off, and a file of text."""
    image, _ = portrait()
    (tmp_path / "more").mkdir()
    cv2.imwrite(str(tmp_path / "a.png"), image)
    cv2.imwrite(str(tmp_path / "more" / "grey.jpg"), cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))
    cv2.imwrite(str(tmp_path / "small.png"), cv2.resize(image, (150, 150), interpolation=cv2.INTER_AREA))
    cv2.imwrite(str(tmp_path / "wall.png"), np.full((200, 200, 3), 120, np.uint8))
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:9000])
    (tmp_path / "notes.txt").write_text("not a picture")
    return tmp_path


def test_prepared_folder_can_be_trained_on(pictures, portrait):
    result = prepare(pictures)

    faces = load_faces(pictures)
    assert result.kept == 2
    assert [row["file"] for row in json.loads(result.manifest.read_text())] == ["a.png", "more/grey.jpg"]
    np.testing.assert_allclose(faces[0].eyes, portrait()[1], atol=8)
    assert faces[0].eyes[0, 0] < faces[0].eyes[1, 0]


def test_what_is_rejected_is_reported_with_the_reason(pictures):
    result = prepare(pictures)

    reasons = {file: reason.split(":")[0] for file, reason in result.rejected.items()}
    assert reasons == {"small.png": "too small", "wall.png": "no face", "cut.png": "unreadable"}
    assert "2 faces; 3 rejected (1 no face, 1 too small, 1 unreadable)" in result.as_text()
    assert [p.name for p in pictures.iterdir() if p.name.startswith(".")] == []


@pytest.mark.parametrize("place", ["gone", "empty"])
def test_folder_without_pictures_is_refused(tmp_path, place):
    (tmp_path / "empty").mkdir()

    with pytest.raises(DataError, match=f"{place}: expected"):
        prepare(tmp_path / place)


def test_folder_without_a_usable_face_is_refused_and_keeps_its_manifest(tmp_path):
    cv2.imwrite(str(tmp_path / "wall.png"), np.full((200, 200, 3), 120, np.uint8))
    (tmp_path / "manifest.json").write_text("[]")

    with pytest.raises(DataError, match="0 faces; 1 rejected"):
        prepare(tmp_path)

    assert (tmp_path / "manifest.json").read_text() == "[]"
