"""A captured graph on a pretended GPU: tensors of the CPU, and graphs that remember addresses as CUDA's do."""

import contextlib
import gc
import weakref

import numpy as np
import pytest
import torch
from torch import nn

from engines.cuda_graph import ALONE, CapturedGraph

SHAPE = (1, 4, 4, 3)


class Brighter(nn.Module):
    """uint8 in and out; counts its calls."""

    def __init__(self):
        super().__init__()
        self.by, self.calls = nn.Buffer(torch.ones(1, dtype=torch.uint8)), 0

    def forward(self, batch):
        self.calls += 1
        return batch + self.by


class Stream:
    def wait_stream(self, other):
        pass

    def synchronize(self):
        pass

    record = synchronize


class Graph:
    """Counts its replays."""

    def __init__(self):
        self.replays = 0

    def replay(self):
        self.replays += 1


@pytest.fixture(autouse=True)
def gpu(monkeypatch):
    """torch.cuda by the CPU; returns what was made on the device, as weak references."""
    on_device = []

    def on_cpu(make):
        def call(*args, pin_memory=False, device=None, **kwargs):
            tensor = make(*args, **kwargs)
            if device == "cuda":
                on_device.append(weakref.ref(tensor))
            return tensor

        return call

    monkeypatch.setattr(torch, "zeros", on_cpu(torch.zeros))
    monkeypatch.setattr(torch, "empty", on_cpu(torch.empty))
    for name, fake in {
        "Stream": Stream,
        "Event": lambda blocking: Stream(),
        "current_stream": lambda: None,
        "stream": lambda stream: contextlib.nullcontext(),
        "CUDAGraph": Graph,
        "graph": lambda *args, **kwargs: contextlib.nullcontext(),
    }.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    return on_device


def test_what_a_graph_reads_lives_as_long_as_it_does(gpu):
    def made():
        module = Brighter()
        watched.extend((weakref.ref(module), weakref.ref(module.by)))
        return CapturedGraph(module, SHAPE)

    watched: list[weakref.ref] = []
    graph = made()
    graph(np.zeros(SHAPE, np.uint8))
    gc.collect()

    assert len(gpu) == 1
    assert all(thing() is not None for thing in watched + gpu)


def test_a_graph_is_captured_once_and_replayed():
    module = Brighter()
    graph = CapturedGraph(module, SHAPE)
    for _ in range(3):
        graph(np.zeros(SHAPE, np.uint8))

    assert graph._graph.replays == 3
    assert module.calls == 3 + 1  # warm-ups, and the capture


def test_while_the_device_is_taken_the_module_runs_without_a_graph():
    graph = CapturedGraph(Brighter(), SHAPE)
    with ALONE:
        assert (graph(np.full(SHAPE, 7, np.uint8)) == 8).all()
        assert graph._graph is None

    graph(np.zeros(SHAPE, np.uint8))
    assert graph._graph.replays == 1
    assert not ALONE.locked()
