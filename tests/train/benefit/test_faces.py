import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from train.benefit.faces import HALVES, IRIS_CENTRES, face_mesh, half_of, label, labelled_manifest, load_faces
from train.benefit.pupil import MeshPupils
from train.benefit.scene import photographed
from train.errors import DataError

EYES = np.array([[203.4, 100.5], [246.4, 102.8]])
"""Of the photograph, image-left first."""


@pytest.fixture(scope="module")
def mesh():
    with face_mesh() as found:
        yield found


def photo():
    return np.ascontiguousarray(astronaut()[:300, 50:400, ::-1])


def write(folder, rows, image=None):
    cv2.imwrite(str(folder / "a.png"), photo() if image is None else image)
    (folder / "val.json").write_text(json.dumps(rows))
    return folder


def test_hand_labels_follow_the_cut_around_the_face(tmp_path, mesh):
    eyes = EYES - [50.1, 0.1]
    rims = [[[x + dx, y + dy] for dx, dy in ((4, 0), (0, 4), (-4, 0))] for x, y in eyes]
    (face,) = load_faces(write(tmp_path, [{"file": "a.png", "pupil_px": eyes.tolist(), "iris_rim_px": rims}]), mesh)

    assert face.image.shape[0] < 300
    assert face.interocular_px == pytest.approx(43.1, abs=0.1)
    around = [face.image[y - 8 : y + 9, x - 8 : x + 9] for x, y in np.rint(face.pupils).astype(int)]
    x, y = np.rint(eyes[0]).astype(int)
    assert np.array_equal(around[0], photo()[y - 8 : y + 9, x - 8 : x + 9])
    assert np.abs(face.rims - face.pupils[:, None]).max() == pytest.approx(4)
    left, top, right, bottom = face.box
    assert 0 <= left < face.pupils[0, 0] < face.pupils[1, 0] < right <= face.image.shape[1]
    assert 0 <= top < face.pupils[0, 1] < bottom <= face.image.shape[0]


def test_without_labels_the_mesh_answers(tmp_path, mesh):
    (face,) = load_faces(write(tmp_path, [{"file": "a.png"}]), mesh)

    points = mesh(photo())
    assert face.interocular_px == pytest.approx(np.hypot(*(points[IRIS_CENTRES[0]] - points[IRIS_CENTRES[1]])))
    assert face.corners[0, 0] < face.pupils[0, 0] < face.corners[1, 0] < face.corners[2, 0] < face.pupils[1, 0]


def test_a_limit_takes_faces_evenly(tmp_path, mesh):
    rows = [{"file": "a.png", "number": i} for i in range(5)]

    assert len(load_faces(write(tmp_path, rows), mesh, 2)) == 2


def test_halves_share_no_face_and_leave_none_out(tmp_path, mesh):
    names = [f"face-{i}" for i in range(6)]
    for name in names:
        cv2.imwrite(str(tmp_path / f"{name}.png"), photo())
    (tmp_path / "val.json").write_text(json.dumps([{"file": f"{name}.png"} for name in names]))

    first, second = ({face.name for face in load_faces(tmp_path, mesh, half=half)} for half in HALVES)

    assert first | second == set(names)
    assert not first & second


def test_a_limit_is_of_the_half(tmp_path, mesh):
    name = next(f"face-{i}" for i in range(100) if half_of(f"face-{i}") == "second")
    cv2.imwrite(str(tmp_path / f"{name}.png"), photo())
    rows = [{"file": f"{name}.png"}, *({"file": "unread.png"} for _ in range(4))]
    assert half_of("unread") == "first"
    (tmp_path / "val.json").write_text(json.dumps(rows))

    assert [face.name for face in load_faces(tmp_path, mesh, 3, "second")] == [name]


def test_a_name_stays_in_its_half():
    assert [half_of(name) for name in ("london-001_03", "london-004_03", "canada-003f", "canada-154m")] == [
        "second",
        "second",
        "first",
        "second",
    ]


def test_halves_are_about_as_large():
    assert sum(half_of(f"face-{i:04d}") == "first" for i in range(400)) == pytest.approx(200, abs=30)


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ([{"no": 1}], "not a manifest"),
        ([{"file": "b.png"}], "cannot be read"),
        ({"a": 1}, "not a manifest"),
        ([], "found none"),
    ],
)
def test_a_bad_manifest_is_a_clear_error(tmp_path, mesh, rows, what):
    with pytest.raises(DataError, match=what):
        load_faces(write(tmp_path, rows), mesh)


def test_no_manifest_is_a_clear_error(tmp_path, mesh):
    with pytest.raises(DataError, match=r"expected val\.json"):
        load_faces(tmp_path, mesh)


def test_pictures_without_a_face_are_no_faces(tmp_path, mesh):
    with pytest.raises(DataError, match="found none"):
        load_faces(write(tmp_path, [{"file": "a.png"}], np.full((200, 200, 3), 90, np.uint8)), mesh)


def test_mesh_answers_near_its_own_label(mesh):
    large = cv2.resize(photo(), None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    scene = photographed(label("astronaut", large, mesh), 40, "clean", 1, np.random.default_rng(0))
    consumer = MeshPupils(mesh)

    reading = consumer.read(scene.truth())

    assert np.hypot(*reading.T).max() < 0.02


@pytest.mark.parametrize("inside", [False, True])
def test_manifest_beside_a_folder_has_all_of_its_name(tmp_path, monkeypatch, inside):
    folder = tmp_path / "set.v2"
    folder.mkdir()
    monkeypatch.chdir(folder if inside else tmp_path)
    for name in ("set.json", "set.v2.json"):
        (tmp_path / name).write_text("[]")

    assert labelled_manifest(Path("." if inside else "set.v2")).name == "set.v2.json"
