"""The rewritten network of static shape, and what graph compilers will make of it."""

import numpy as np
import pytest
import torch

from engines import DEFAULT_TIER, load_checkpoint, shipped_tiers
from engines.cuda import half_body
from engines.static import StaticPixels, StaticSwinIR
from engines.swinir import SwinIR
from realtime.config import CropConfig

EYES = [(2, height, width) for width, height in CropConfig().ladder]
FACES = [(1, height, width) for width, height in CropConfig().face_ladder]
"""Batch, height and width of what the daemon asks of an engine."""

CONVERTIBLE = {
    "aten.add.Tensor",
    "aten.conv2d.default",
    "aten.flatten.using_ints",
    "aten.gelu.default",
    "aten.index_select.default",
    "aten.layer_norm.default",
    "aten.linear.default",
    "aten.permute.default",
    "aten.pixel_shuffle.default",
    "aten.pixel_unshuffle.default",
    "aten.reshape.default",
    "aten.scaled_dot_product_attention.default",
    "aten.transpose.int",
    "aten.unbind.int",
    "aten.view.default",
    "<built-in function getitem>",
}
"""What torch-tensorrt is known to convert; it made one engine of a network of these, without a break."""

RANDOM = {
    "plain": {"embed_dim": 24, "depths": (2, 3), "heads": 3},
    "unshuffle and three frames": {"unshuffle": 2, "frames": 3},
    "x4": {"scale": 4, "embed_dim": 20},
}


@pytest.fixture(params=[*RANDOM, *shipped_tiers()])
def model(request, random_checkpoint):
    path = random_checkpoint(**RANDOM[request.param]) if request.param in RANDOM else request.param
    return SwinIR.from_checkpoint(load_checkpoint(path))


def pixels(model, n, height, width):
    """Smooth pictures with some noise, as eyes are."""
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.uniform(0, 255, (n, 3 * model.config.frames, 4, 4)).astype(np.float32))
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    noisy = smooth + torch.from_numpy(rng.normal(0, 5, smooth.shape).astype(np.float32))
    return noisy.clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


@torch.inference_mode()
def eager(model, batch):
    y = model(batch.permute(0, 3, 1, 2) / 255).clamp(0, 1)
    return (y.permute(0, 2, 3, 1) * 255 + 0.5).to(torch.uint8)


@pytest.mark.parametrize("shape", [EYES[0], (1, 16, 16)], ids=str)
def test_the_rewritten_network_equals_the_network(shape, model):
    batch = pixels(model, *shape)

    with torch.inference_mode():
        output = StaticPixels(StaticSwinIR(model, *shape).eval(), model.config)(batch)

    assert (output.int() - eager(model, batch).int()).abs().max() <= 1


def test_rewriting_leaves_the_network_as_it_was(model):
    before = {name: value.copy() for name, value in model.tensors().items()}

    half_body(model, 1, 16, 16)

    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert all(np.array_equal(before[name], value) for name, value in model.tensors().items())


def test_a_shape_that_is_no_multiple_of_the_window_is_refused(model):
    with pytest.raises(ValueError, match="expected multiples of"):
        StaticSwinIR(model, 1, 16, 20)


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        *((name, EYES[0]) for name in RANDOM),
        *((tier, shape) for tier in shipped_tiers() for shape in (EYES[0], EYES[-1], FACES[0], FACES[-1])),
        *((DEFAULT_TIER, shape) for shape in EYES[1:-1] + FACES[1:-1]),
    ],
    indirect=["model"],
    ids=str,
)
def test_it_exports_to_operations_that_tensorrt_converts(shape, model):
    body = half_body(model, *shape)
    n, height, width = shape

    with torch.no_grad():
        example = torch.zeros(n, 3 * model.config.frames, height, width, dtype=torch.half)
        program = torch.export.export(body, (example,))

    operations = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert operations <= CONVERTIBLE
    assert "aten.scaled_dot_product_attention.default" in operations


@pytest.mark.parametrize("shape", [EYES[0], EYES[2], FACES[0]], ids=str)
@torch.inference_mode()
def test_half_precision_is_within_50_db_of_single_and_far_from_its_range(shape, model):
    batch = pixels(model, *shape)
    body, largest = half_body(model, *shape), 0.0

    def watch(module, arguments, output):
        nonlocal largest
        largest = max(largest, float(output.abs().max()))

    for module in body.modules():
        module.register_forward_hook(watch)
    output = StaticPixels(body, model.config, torch.half)(batch)

    error = float(((output.float() - eager(model, batch).float()) ** 2).mean())
    assert 10 * np.log10(255**2 / max(error, 1e-9)) >= 50
    assert largest < 1e4
