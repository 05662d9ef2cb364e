"""A gaze network as a judge of pictures: what it sees in an enhanced eye should be what it sees in the sharp one.

The network is Open Model Zoo's gaze-estimation-adas-0002 in OpenVINO's IR (an XML of layers, a file of weights), run
here by torch, frozen, so that its answer has a gradient. It is a loss, not a proof: who trains with it has to measure
with other trackers, too.
"""

import math
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from train.errors import TrainError
from train.eye_grid import eye_grid, sample

NAME = "gaze-estimation-adas-0002"
SIDE = 60
"""Of the eye images that it takes, in pixels."""
EYE_WIDTH = 0.45
"""Distance of an eye's corners over the interocular distance."""
MARGIN = 1.8
"""Width of an eye image over the distance of the eye's corners."""
FEATURES = "110"
"""The layer that joins what was seen in both eyes: (B, 64, 15, 15)."""
DTYPES = {"f16": np.float16, "f32": np.float32, "i64": np.int64}


class TorchGazeNetwork(nn.Module):
    """forward: two eye images (B, 3, 60, 60), BGR, 0 to 255, the subject's left and right; head pose (B, 3), degrees.

    Returns the features of both eyes (B, 64, 15, 15) and the gaze vector (B, 3), not normalised. Raises TrainError when
    the folder does not hold the network.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        try:
            root = ET.parse(folder / f"{NAME}.xml").getroot()
            blob = (folder / f"{NAME}.bin").read_bytes()
        except (OSError, ET.ParseError) as err:
            raise TrainError(f"{folder}: expected {NAME}.xml and .bin: {err}; give their folder as --tracker") from err
        self.layers = list(root.iter("layer"))
        self.sources: dict[str, list[str]] = {}
        for edge in sorted(root.iter("edge"), key=lambda e: int(e.attrib["to-port"])):
            self.sources.setdefault(edge.attrib["to-layer"], []).append(edge.attrib["from-layer"])
        for layer in self.layers:
            if layer.attrib["type"] == "Const":
                self.register_buffer(f"constant_{layer.attrib['id']}", _constant(layer, blob), persistent=False)

    def forward(self, left: Tensor, right: Tensor, pose: Tensor) -> tuple[Tensor, Tensor]:
        given = {"left_eye_image": left, "right_eye_image": right, "head_pose_angles": pose}
        values: dict[str, Tensor] = {}
        features = left
        for layer in self.layers:
            number, kind = layer.attrib["id"], layer.attrib["type"]
            inputs = [values[source] for source in self.sources.get(number, [])]
            if kind == "Result":
                return features, inputs[0]
            if kind == "Const":
                values[number] = self.get_buffer(f"constant_{number}")
            elif kind == "Parameter":
                values[number] = given[layer.attrib["name"]]
            else:
                values[number] = _operation(kind, layer, inputs)
            if layer.attrib["name"] == FEATURES:
                features = values[number]
        raise TrainError(f"{NAME}: expected a Result layer, found none")


def eye_images(picture: Tensor, eye: Tensor) -> Tensor:
    """Cut the eye of each picture as the network wants it: (B, 3, 60, 60), BGR, 0 to 255.

    picture: (B, 3, H, W), full scale 1. eye: (B, 4): x, y of the eye's centre and the interocular distance, in pixels
    (pixel centres at integers), and 1 for the subject's left eye, else 0.
    """
    return 255 * sample(picture, eye_grid(eye, SIDE, EYE_WIDTH * MARGIN / SIDE, picture.shape[2:]))


def tracker_terms(
    network: TorchGazeNetwork, image: Tensor, truth: Tensor, eye: Tensor, draws: int = 1
) -> dict[str, Tensor]:
    """How far the network's view of the image is from that of the truth, over the samples that show their eye.

    seen: mean absolute distance of the features, over their mean absolute value. gaze: root mean square over samples of
    the angle between the answers, in radians (its chord): squared, since the least absolute angle leaves a bias. The
    other eye of the face is taken to be this one's mirror image. tremble: root mean square of the angle between the
    answers to the two draws of a scene, if draws is 2 and neighbours are such. image, truth: (B, 3, H, W); eye: as for
    eye_images().
    """
    height, width = image.shape[2:]
    reach = eye[:, 2] * EYE_WIDTH / 2
    inside = (
        (eye[:, 0] >= reach)
        & (eye[:, 0] <= width - 1 - reach)
        & (eye[:, 1] >= reach)
        & (eye[:, 1] <= height - 1 - reach)
    )
    if not inside.any():
        names = ("seen", "gaze", "tremble") if draws == 2 else ("seen", "gaze")
        return dict.fromkeys(names, image.sum() * 0)
    image, truth, eye = image[inside], truth[inside], eye[inside]
    with torch.no_grad():
        wanted, aim = _look(network, truth, eye)
    seen, gaze = _look(network, image, eye)
    terms = {"seen": (seen - wanted).abs().mean() / wanted.abs().mean(), "gaze": _angle(gaze, aim)}
    return terms | {"tremble": _angle(gaze[0::2], gaze[1::2])} if draws == 2 else terms


def _angle(gaze: Tensor, aim: Tensor) -> Tensor:
    """Root mean square over samples of the chord between two directions (B, 3)."""
    return torch.sqrt((gaze - aim).square().sum(1).mean() + 1e-6)


def _look(network: TorchGazeNetwork, picture: Tensor, eye: Tensor) -> tuple[Tensor, Tensor]:
    here = eye_images(picture, eye)
    is_left = eye[:, 3].view(-1, 1, 1, 1) > 0.5
    left, right = torch.where(is_left, here, here.flip(3)), torch.where(is_left, here.flip(3), here)
    features, gaze = network(left, right, torch.zeros(len(here), 3, device=here.device))
    return features, F.normalize(gaze, dim=1)


def _constant(layer: ET.Element, blob: bytes) -> Tensor:
    data = layer.find("data")
    assert data is not None
    shape = [int(n) for n in data.attrib["shape"].split(",") if n]
    array = np.frombuffer(
        blob, DTYPES[data.attrib["element_type"]], count=math.prod(shape), offset=int(data.attrib["offset"])
    ).reshape(shape)
    return torch.from_numpy(array.astype(np.int64 if array.dtype == np.int64 else np.float32))


def _operation(kind: str, layer: ET.Element, inputs: list[Tensor]) -> Tensor:
    data = layer.find("data")
    settings = data.attrib if data is not None else {}
    match kind:
        case "Add":
            return inputs[0] + inputs[1]
        case "Multiply":
            return inputs[0] * inputs[1]
        case "ReLU":
            return F.relu(inputs[0])
        case "Concat":
            return torch.cat(inputs, int(settings["axis"]))
        case "Convolution":
            stride, pad = (int(settings[name].split(",")[0]) for name in ("strides", "pads_begin"))
            return F.conv2d(inputs[0], inputs[1], stride=stride, padding=pad)
        case "Reshape":
            return inputs[0].flatten(1)
        case "Unsqueeze":
            return inputs[0].unsqueeze(int(inputs[1]))
        case "Squeeze":
            return inputs[0].squeeze(int(inputs[1]))
    raise TrainError(f"{NAME}: layer of type {kind}: expected one of the network's own; give the original files")
