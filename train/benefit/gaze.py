"""A real tracker's network: Open Model Zoo's gaze-estimation-adas-0002 with head-pose-estimation-adas-0001."""

import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from train.benefit.faces import LabelledFace
from train.benefit.scene import View
from train.errors import DataError

SIDE = 60
EYE_SHARE = 1.8
"""The network's eye image spans this many eye widths."""


class GazeNetwork:
    """Gaze direction of a face in a view.

    models: folder with the two networks as OpenVINO IR. The head pose is read once for each face, known by its name,
    and from the undegraded picture, so that only the eyes' pictures make a difference. Raises DataError when the
    networks are not there.
    """

    name = "gaze"

    def __init__(self, models: Path) -> None:
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # its import looks up a host
        import openvino

        try:
            core = openvino.Core()
            self._gaze: Any = core.compile_model(models / "gaze-estimation-adas-0002.xml", "CPU")
            self._pose: Any = core.compile_model(models / "head-pose-estimation-adas-0001.xml", "CPU")
        except RuntimeError as err:
            raise DataError(
                f"{models}: expected gaze-estimation-adas-0002 and head-pose-estimation-adas-0001 (.xml, .bin); "
                f"download them from the Open Model Zoo ({str(err).splitlines()[0]})"
            ) from err
        self._poses: dict[str, NDArray[np.float32]] = {}

    def read(self, view: View) -> NDArray[np.float64]:
        """The gaze as a unit vector, float64 (3,)."""
        face = view.scene.face
        if face.name not in self._poses:
            self._poses[face.name] = self._head_pose(face)
        corners = view.at(face.corners)
        answer = self._gaze(
            {
                "right_eye_image": eye_image(view.image, corners[0], corners[1]),
                "left_eye_image": eye_image(view.image, corners[2], corners[3]),
                "head_pose_angles": self._poses[face.name],
            }
        )
        gaze = np.asarray(next(iter(answer.values()))[0], np.float64)
        return np.asarray(gaze / np.linalg.norm(gaze))

    def compare(
        self, reading: NDArray[np.float64], truth: NDArray[np.float64], usual: NDArray[np.float64]
    ) -> dict[str, float]:
        """Angle between two readings, and the components' differences, in degrees."""
        angle = np.degrees(np.arccos(np.clip(reading @ truth, -1, 1)))
        right, up, _ = np.degrees(reading - truth)
        return {"gaze_drift_deg": float(angle), "gaze_x_deg": float(right), "gaze_y_deg": float(up)}

    def spread(self, readings: NDArray[np.float64]) -> dict[str, float]:
        """Standard deviation over all directions, in degrees."""
        return {"gaze_std_deg": float(np.degrees(np.sqrt(readings.var(axis=0).sum())))}

    def _head_pose(self, face: LabelledFace) -> NDArray[np.float32]:
        left, top, right, bottom = face.box
        blob = cv2.resize(face.image[top:bottom, left:right], (SIDE, SIDE)).transpose(2, 0, 1)[None].astype(np.float32)
        answer = self._pose([blob])
        angles = [answer[self._pose.output(name)].item() for name in ("angle_y_fc", "angle_p_fc", "angle_r_fc")]
        return np.array([angles], np.float32)


def eye_image(image: NDArray[np.uint8], a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float32]:
    """The network's input: float32 (1, 3, 60, 60), BGR 0 to 255, upright, between the eye corners a and b."""
    centre, scale = (a + b) / 2, SIDE / (np.hypot(*(a - b)) * EYE_SHARE)
    middle = (SIDE - 1) / 2
    warp = np.array([[scale, 0, middle - centre[0] * scale], [0, scale, middle - centre[1] * scale]])
    eye = cv2.warpAffine(image, warp, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return eye.transpose(2, 0, 1)[None].astype(np.float32)
