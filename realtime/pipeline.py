"""The chain from a camera's frames to enhanced eyes, in one screen."""

from collections.abc import Callable, Iterable, Iterator
from time import monotonic_ns

from engines import Engine
from realtime.bypass import Bypass
from realtime.frames import Crops, Enhanced, Frame, Landmarks


def enhance(
    frames: Iterable[Frame],
    face_mesh: Callable[[Frame], Landmarks | None],
    cropper: Callable[[Frame, Landmarks | None], Crops],
    engine: Engine,
    bypass: Bypass | None = None,
) -> Iterator[Enhanced]:
    """Find the face, cut the eyes, enhance them; one Enhanced for every frame, with or without a face.

    bypass: may put its bicubic engine in the network's place, which Enhanced.engine then says. The stages' stamps are
    "capture_wait" (the chain took the frame), "landmarks", "crops" and "engine". Raises what its parts raise.
    """
    for frame in frames:
        stamps = {"capture_wait": monotonic_ns()}
        landmarks = face_mesh(frame)
        stamps["landmarks"] = monotonic_ns()
        crops = cropper(frame, landmarks)
        stamps["crops"] = monotonic_ns()
        used = engine if bypass is None else bypass(landmarks, engine)
        patches = None if crops.patches is None else used(crops.patches)
        face = None if crops.face is None else used(crops.face)
        stamps["engine"] = monotonic_ns()
        yield Enhanced(
            crops=crops,
            patches=patches,
            face=face,
            scale=used.scale,
            engine=used.name,
            tier=used.tier,
            model_sha256=used.sha256,
            stamps_ns=stamps,
        )
