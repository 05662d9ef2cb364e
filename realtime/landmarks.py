"""Finds the face: MediaPipe Face Mesh with irises, from a frame to landmarks in camera pixels.

mediapipe 0.10.21 carries its models in its wheel; nothing is downloaded, nobody is called.
"""

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from types import ModuleType, TracebackType
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.frames import Frame, Landmarks

# Read by mediapipe's logging when its library is loaded, and settable in no other way: 2 lets errors through.
os.environ.setdefault("GLOG_minloglevel", "2")
IDLE_TALK = re.compile(rb"[IW]\d{4} |INFO: |WARNING: All log messages before absl")
"""How TensorFlow Lite's and MediaPipe's lines below errors begin. GLOG_minloglevel does not reach all of them."""

OUTER_CORNERS = [33, 263]
"""Of the image-left and the image-right eye: the line by which MediaPipe turns the face upright before it measures."""
OVERSHOOT = 0.003
"""How far right and down MediaPipe sees every point, as a share of the mesh's longer side.

It cuts the face out by pixels' numbers and reads the answer as if pixels began there: half a pixel of the cut-out,
0.0039 of the side by its source. This is what was measured, since a face in the mirror must be found in the mirrored
place: 0.0027 by the irises, 0.0030 by the whole mesh (medians; 13 photographs, nine clips and the demo, 15 to 270 px
between the eyes). Faces differ by some 0.0005: 0.1 px at 90 px between the eyes. In a picture twice as large it is
twice as much, along y too, so that no constant part is left; when a face lies on its side it lies with it.
"""


class FaceMesh:
    """The landmarks of one face per frame: the one that MediaPipe is surest of, which has been the largest wherever
    we looked, and then the same one for as long as it is seen.

    A context manager; calls come from one thread, with the frames in their order, since it tracks.
    """

    def __init__(self) -> None:
        self._mesh: Any = None
        self._found_one = False

    def __enter__(self) -> Self:
        # Imported here: half a second that nobody should pay who only wants the types.
        with _without_chatter(), _without_matplotlib():
            from mediapipe.python.solutions.face_mesh import FaceMesh as MediaPipeFaceMesh

            self._mesh = MediaPipeFaceMesh(refine_landmarks=True, max_num_faces=1)
            # Its threads print while they load the models: let them do that here, on a picture without a face.
            self._mesh.process(np.zeros((64, 64, 3), np.uint8))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._mesh.close()
        self._mesh = None

    def __call__(self, frame: Frame) -> Landmarks | None:
        """The face in the frame, or None when there is none."""
        if self._mesh is None:
            raise ValueError("FaceMesh: expected to be entered before it is called; use `with FaceMesh() as face_mesh`")
        height, width = frame.image.shape[:2]
        image = cv2.cvtColor(frame.image, cv2.COLOR_BGR2RGB)
        # The first face wakes the second half of the graph, and that prints too.
        with nullcontext() if self._found_one else _without_chatter():
            found = self._mesh.process(image).multi_face_landmarks
        if not found:
            return None
        self._found_one = True
        fractions = np.array([(point.x, point.y) for point in found[0].landmark], np.float32)
        return Landmarks(points=_on_the_image(fractions * np.array([width, height], np.float32)))


def _on_the_image(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """MediaPipe's points (478, 2), in pixels, where the image shows them: in the face's own axes up and to the left."""
    outer_left, outer_right = points[OUTER_CORNERS]
    roll = np.arctan2(*(outer_right - outer_left)[::-1])
    right_and_down = np.array([np.cos(roll) - np.sin(roll), np.sin(roll) + np.cos(roll)], np.float32)
    return points - np.float32(OVERSHOOT * np.ptp(points, axis=0).max()) * right_and_down


@contextmanager
def _without_matplotlib() -> Iterator[None]:
    """Keep mediapipe from loading matplotlib, which it wants to draw with and which writes a list of fonts on disk.

    For the time of mediapipe's import: its drawing keeps an empty stand-in, whoever comes later gets the real one.
    """
    if "matplotlib" in sys.modules:
        yield
        return
    names = ("matplotlib", "matplotlib.pyplot")
    sys.modules.update({name: ModuleType(name) for name in names})
    try:
        yield
    finally:
        for name in names:
            sys.modules.pop(name, None)  # another thread may have done the same


@contextmanager
def _without_chatter() -> Iterator[None]:
    """Hold back what is printed on standard error, natively too, and then print all of it that is not idle talk."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as kept:
        stderr = os.dup(2)
        os.dup2(kept.fileno(), 2)
        failed = True
        try:
            yield
            failed = False
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
            kept.seek(0)
            for line in kept:
                if failed or not IDLE_TALK.match(line):
                    with suppress(OSError):  # nobody may be listening any more
                        os.write(2, line)
