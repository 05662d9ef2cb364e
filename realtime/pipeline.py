"""The chain from a camera's frames to enhanced eyes, in one screen."""

from collections.abc import Callable, Iterable, Iterator
from time import monotonic_ns

from engines import Engine
from realtime.bypass import Bypass
from realtime.frames import Crops, Enhanced, Frame, Landmarks

Located = tuple[Crops, dict[str, int]]
"""The windows of a frame, and the stamps of the stages so far."""


def enhance(
    frames: Iterable[Frame],
    face_mesh: Callable[[Frame], Landmarks | None],
    cropper: Callable[[Frame, Landmarks | None], Crops],
    engine: Engine,
    bypass: Bypass | None = None,
) -> Iterator[Enhanced]:
    """Find the face, cut the eyes, enhance them; one Enhanced for every frame, with or without a face.

    bypass: may put its bicubic engine in the network's place, which Enhanced.engine then says. The stages' stamps are
    "capture_wait" (the chain took the frame), "landmarks", "crops", "engine_wait" (its second half took them) and
    "engine". Raises what its parts raise.
    """
    return sharpen(locate(frames, face_mesh, cropper), engine, bypass)


def locate(
    frames: Iterable[Frame],
    face_mesh: Callable[[Frame], Landmarks | None],
    cropper: Callable[[Frame, Landmarks | None], Crops],
) -> Iterator[Located]:
    """The first half: find the face in each frame and cut the windows."""
    for frame in frames:
        stamps = {"capture_wait": monotonic_ns()}
        landmarks = face_mesh(frame)
        stamps["landmarks"] = monotonic_ns()
        crops = cropper(frame, landmarks)
        stamps["crops"] = monotonic_ns()
        yield crops, stamps


def sharpen(located: Iterable[Located], engine: Engine, bypass: Bypass | None = None) -> Iterator[Enhanced]:
    """The second half: enhance the windows. May run in another thread than the first."""
    for crops, stamps in located:
        started_ns = monotonic_ns()
        used = engine if bypass is None else bypass(crops.landmarks, engine)
        patches = None if crops.patches is None else used(crops.patches)
        face = None if crops.face is None else used(crops.face)
        yield Enhanced(
            crops=crops,
            patches=patches,
            face=face,
            scale=used.scale,
            engine=used.name,
            tier=used.tier,
            model_sha256=used.sha256,
            stamps_ns=stamps | {"engine_wait": started_ns, "engine": monotonic_ns()},
        )
