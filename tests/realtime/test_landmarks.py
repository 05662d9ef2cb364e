import os
import subprocess
import sys
import textwrap

import cv2
import numpy as np
import pytest
from fakes import a_frame, grey

from realtime.demo import DemoCamera
from realtime.landmarks import FaceMesh


@pytest.fixture
def face_mesh():
    with FaceMesh() as mesh:
        yield mesh


def test_irises_of_the_demo_are_found_where_they_are(face_mesh):
    with DemoCamera(paced=False) as demo:
        errors = [face_mesh(frame).points[[468, 473]] - demo.true_eyes(frame.seq) for frame in iter_frames(demo, 30)]

    assert np.abs(np.median(errors, axis=0)).max() < 1
    assert np.abs(errors).max() < 2


def iter_frames(camera, count):
    return (camera.read() for _ in range(count))


def test_landmarks_have_the_documented_shape(face_mesh):
    landmarks = face_mesh(a_frame(DemoCamera(motion=0).image(0)))

    assert (landmarks.points.shape, landmarks.points.dtype) == ((478, 2), np.float32)
    assert landmarks.interocular_px == pytest.approx(45, abs=1.5)


def a_face(interocular_px):
    """Frames of the demo, of a size that the face fills as it does in 640x480 at 90 px between the eyes."""
    width = max(640, interocular_px * 64 // 9)
    demo = DemoCamera(width=width, height=width * 3 // 4, interocular_px=interocular_px, paced=False)
    return [demo.image(7 * number) for number in range(10)]


def points_in(images):
    """float (frames, 478, 2): of the last frames, when the face is followed and not searched for any more."""
    with FaceMesh() as mesh:
        return np.array([mesh(a_frame(np.ascontiguousarray(image), seq)).points for seq, image in enumerate(images)])[
            4:
        ]


@pytest.mark.parametrize("interocular_px", [30, 90, 180])
def test_a_face_in_the_mirror_is_found_in_the_mirrored_place(interocular_px):
    """With pixel centres at whole numbers x becomes W - 1 - x, whatever the size of the face."""
    images = a_face(interocular_px)

    there, mirrored = points_in(images), points_in([image[:, ::-1] for image in images])

    off_px = (there[..., 0] + mirrored[..., 0] - (images[0].shape[1] - 1)) / 2
    assert abs(off_px.mean()) < 0.05 + 0.001 * interocular_px
    assert abs(off_px[:, [468, 473]].mean()) < 0.05 + 0.002 * interocular_px


def test_a_face_is_found_in_the_same_place_in_a_larger_picture():
    """Across and down: a constant offset in pixels would be half as large there."""
    images = a_face(60)
    larger = [cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC) for image in images]

    moved_px = (points_in(larger) + 0.5) / 2 - 0.5 - points_in(images)

    assert np.abs(moved_px.mean(axis=(0, 1))).max() < 0.1


def test_a_face_on_its_side_is_found_where_it_is():
    images = a_face(180)

    upright, on_its_side = points_in(images), points_in([np.rot90(image) for image in images])

    back = np.stack([images[0].shape[1] - 1 - on_its_side[..., 1], on_its_side[..., 0]], axis=-1)
    assert np.abs((back - upright).mean(axis=(0, 1))).max() < 0.25


def test_no_face_is_none(face_mesh):
    assert face_mesh(a_frame(grey())) is None


def test_face_is_found_again_after_it_was_away(face_mesh):
    demo = DemoCamera(motion=0)

    seen = [face_mesh(a_frame(image, seq)) for seq, image in enumerate([demo.image(0), grey(), grey(), demo.image(3)])]

    assert [landmarks is not None for landmarks in seen] == [True, False, False, True]


SMALL, LARGE = (DemoCamera(interocular_px=px, motion=0, width=480).image(0) for px in (60, 90))
NOBODY = grey(size=(480, 480))


@pytest.mark.parametrize(("views", "middle_x"), [((SMALL, LARGE), 720), ((LARGE, SMALL), 240)])
def test_larger_of_two_faces_is_taken(face_mesh, views, middle_x):
    landmarks = face_mesh(a_frame(np.hstack(views)))

    assert landmarks.points[:, 0].mean() == pytest.approx(middle_x, abs=30)


def test_face_is_kept_when_a_larger_one_joins(face_mesh):
    scenes = [(SMALL, NOBODY), (SMALL, NOBODY), (SMALL, LARGE), (SMALL, LARGE), (SMALL, LARGE)]

    seen = [face_mesh(a_frame(np.hstack(views), seq)) for seq, views in enumerate(scenes)]

    assert [landmarks.points[:, 0].mean() for landmarks in seen] == pytest.approx([240] * 5, abs=30)


def test_call_before_it_is_entered_is_refused():
    with pytest.raises(ValueError, match="use `with FaceMesh"):
        FaceMesh()(a_frame(grey()))


def test_nothing_is_printed_but_real_errors():
    program = """
        import os, sys
        sys.path.insert(0, "tests/realtime")
        from fakes import a_frame, grey
        from realtime.demo import DemoCamera
        from realtime.landmarks import FaceMesh, _without_chatter
        with FaceMesh() as mesh:
            assert mesh(a_frame(grey())) is None
            assert mesh(a_frame(DemoCamera().image(0))) is not None
        with _without_chatter():
            os.write(2, b"I0000 00:00 idle talk\\nE0000 00:00 a real error\\n")
    """

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60
    )

    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "E0000 00:00 a real error\n"


def test_nothing_is_left_on_disk_and_matplotlib_is_there_for_others(tmp_path):
    program = """
        from pathlib import Path
        from realtime.landmarks import FaceMesh
        with FaceMesh():
            assert list(Path.home().iterdir()) == []
        import matplotlib.figure
        matplotlib.figure.Figure()
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "MPL"))}

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env=environment | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (done.returncode, done.stderr) == (0, "")
