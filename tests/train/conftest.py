"""Faces to train and test on, made from scikit-image's astronaut; and the smallest configuration that trains."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage.data import astronaut

from engines import SwinIRConfig
from train.config import CriticConfig, DataConfig, TrainConfig
from train.data import Face

EYES = np.array([[203.4, 100.5], [246.4, 102.8]])
"""Of the photograph, image-left first."""
CORNER, SIDE, ENLARGED = np.array([150, 40]), 150, 3


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def portrait(number: int = 0) -> tuple[NDArray[np.uint8], list[list[float]]]:
    """The astronaut's face, 450 pixels wide, differently lit for each number; and its eyes."""
    x, y = CORNER
    face = np.ascontiguousarray(astronaut()[y : y + SIDE, x : x + SIDE, ::-1])
    large = cv2.resize(face, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_CUBIC)
    lit = np.clip(large * (1.1 - 0.06 * (number % 8)) + 2 * number, 0, 255).astype(np.uint8)
    return lit, ((EYES - CORNER + 0.5) * ENLARGED - 0.5).tolist()


def write_faces(folder: Path, count: int, manifest: str = "manifest.json", key: str = "eyes_px") -> Path:
    """Faces and the manifest that names them."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(count):
        image, eyes = portrait(number)
        cv2.imwrite(str(folder / f"{number}.png"), image)
        rows.append({"file": f"{number}.png", "size": [450, 450], key: eyes})
    (folder / manifest).write_text(json.dumps(rows))
    return folder


@pytest.fixture(name="portrait", scope="session")
def _portrait() -> Callable[..., tuple[NDArray[np.uint8], list[list[float]]]]:
    """Call it with a number to get a face and its eyes."""
    return portrait


@pytest.fixture(name="write_faces", scope="session")
def _write_faces() -> Callable[..., Path]:
    """Call it with a folder and a count to write faces and their manifest."""
    return write_faces


@pytest.fixture(scope="session")
def dotted_face() -> Face:
    """A black face, 460x450 pixels, with a dot on each eye: blue on the image-left one, red on the other."""
    eyes = np.array([[160, 240], [300, 244]], np.float32)
    image = np.zeros((450, 460, 3), np.uint8)
    y, x = np.mgrid[:450, :460]
    for channel, eye in zip((0, 2), eyes, strict=True):
        image[..., channel] = np.rint(255 * np.exp(-0.5 * ((x - eye[0]) ** 2 + (y - eye[1]) ** 2) / 6**2))
    return Face(image=image, eyes=eyes, name="two dots")


@pytest.fixture(scope="session")
def centre() -> Callable[[NDArray[np.uint8]], NDArray[np.float64]]:
    """Call it with a channel (H, W) to get the x, y of the centre of its light."""

    def find(channel: NDArray[np.uint8]) -> NDArray[np.float64]:
        y, x = np.mgrid[: channel.shape[0], : channel.shape[1]]
        light = channel / channel.sum()
        return np.array([(light * x).sum(), (light * y).sum()])

    return find


@pytest.fixture(scope="session")
def faces_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three faces with a manifest."""
    return write_faces(tmp_path_factory.mktemp("faces") / "train", 3)


@pytest.fixture(scope="session")
def val_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two labelled faces."""
    return write_faces(tmp_path_factory.mktemp("labelled"), 2, "val.json", "pupil_px")


@pytest.fixture
def tiny(faces_dir: Path, tmp_path: Path) -> Callable[..., TrainConfig]:
    """Call it with fields of TrainConfig to get a configuration of a second's training."""

    def make(**fields: Any) -> TrainConfig:
        config = TrainConfig(
            data_dir=faces_dir,
            out=tmp_path / "run",
            network=SwinIRConfig(embed_dim=8, depths=(1,), heads=2, unshuffle=2),
            data=DataConfig(patch=16),
            critic=CriticConfig(channels=4),
            steps=6,
            batch=2,
            workers=0,
            warmup=0,
            log_every=2,
            test_every=1000,
            save_every=1000,
        )
        return replace(config, **fields)

    return make
