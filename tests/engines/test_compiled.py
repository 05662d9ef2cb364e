"""Engines that are built in the background, with a compiler that is quick."""

import logging
import threading

import numpy as np
import pytest

from engines import EngineError, load_checkpoint
from engines.bicubic import BicubicEngine
from engines.compiled import CompiledEngine, Toolkit

BATCH = np.zeros((2, 8, 8, 3), np.uint8)


class FakeToolkit(Toolkit):
    """Its programs are bicubic, darkened by as much as the blob says."""

    name = "fake"
    phase = ""

    def __init__(self, darker=0, version="1", fails=None, no_facts=None):
        self.darker, self.version, self.fails, self.no_facts = darker, version, fails, no_facts
        self.built, self.begun, self.go = [], threading.Event(), threading.Event()
        self.go.set()

    def facts(self):
        if self.no_facts:
            raise self.no_facts
        return {"version": self.version}

    def build(self, shape):
        self.begun.set()
        self.go.wait(5)
        self.built.append(shape)
        if self.fails:
            raise self.fails
        return f"fake {self.darker}".encode()

    def open(self, blob, shape):
        if not blob.startswith(b"fake "):
            raise EngineError("strange blob")
        darker = int(blob[5:])
        return lambda batch: np.maximum(BicubicEngine()(batch).astype(int) - darker, 0).astype(np.uint8)


@pytest.fixture
def open_engine(random_checkpoint, tmp_path):
    def open_one(toolkit, settle_s=0.0):
        engine = CompiledEngine(
            load_checkpoint(random_checkpoint()),
            toolkit,
            BicubicEngine(),
            reference=BicubicEngine(),
            cache=tmp_path,
            settle_s=settle_s,
        )
        opened.append(engine)
        return engine

    opened = []
    yield open_one
    for engine in opened:
        engine.close()


def test_another_engine_serves_until_the_program_is_built(open_engine):
    toolkit = FakeToolkit()
    toolkit.go.clear()
    engine = open_engine(toolkit)

    assert engine.building == ""
    engine(BATCH)
    assert engine.name == "bicubic"
    assert toolkit.begun.wait(5)
    assert engine.building == "fake: building for 2x8x8, 0 s so far; bicubic serves meanwhile"
    toolkit.phase = "step 3 of 4"
    assert engine.building == "fake: building for 2x8x8, 0 s so far (step 3 of 4); bicubic serves meanwhile"
    toolkit.go.set()
    engine.wait_until_built(5)
    engine(BATCH)

    assert engine.name == "fake"
    assert engine.building == ""
    assert toolkit.built == [(2, 8, 8)]


def test_a_shape_in_use_for_a_moment_is_not_built(open_engine):
    toolkit = FakeToolkit()
    engine = open_engine(toolkit, settle_s=60)

    engine(BATCH)
    engine(BATCH)

    assert toolkit.built == []
    assert engine.name == "bicubic"


def test_a_built_program_comes_from_disk_the_next_time(open_engine):
    first, second = FakeToolkit(), FakeToolkit()
    run_once_built(open_engine(first))

    run_once_built(open_engine(second))

    assert (len(first.built), len(second.built)) == (1, 0)


def test_another_version_of_the_library_builds_anew(open_engine):
    run_once_built(open_engine(FakeToolkit()))
    newer = FakeToolkit(version="2")

    run_once_built(open_engine(newer))

    assert len(newer.built) == 1


@pytest.mark.parametrize("blob", [b"fake 40", b"nonsense"], ids=["wrong output", "not an engine"])
def test_a_doubtful_program_on_disk_is_built_again_once(blob, open_engine, tmp_path, caplog):
    import hashlib

    run_once_built(open_engine(FakeToolkit()))
    [path], [record] = tmp_path.glob("*.bin"), tmp_path.glob("*.json")
    old = hashlib.sha256(path.read_bytes()).hexdigest()
    record.write_text(record.read_text().replace(old, hashlib.sha256(blob).hexdigest()))
    path.write_bytes(blob)
    toolkit = FakeToolkit()

    with caplog.at_level(logging.WARNING):
        engine = run_once_built(open_engine(toolkit))

    assert len(toolkit.built) == 1
    assert engine.name == "fake"
    assert caplog.text.count("building it again") == 1


@pytest.mark.parametrize(
    ("toolkit", "reason"),
    [
        (FakeToolkit(fails=EngineError("no kernel for this card")), "no kernel for this card"),
        (FakeToolkit(fails=MemoryError("a whole card's worth")), "MemoryError: a whole card's worth"),
        (FakeToolkit(darker=40), "dB from eager's"),
    ],
    ids=["build fails", "build breaks", "output is wrong"],
)
def test_when_a_fresh_build_will_not_do_the_other_engine_goes_on(toolkit, reason, open_engine, tmp_path, error_logs):
    engine = open_engine(toolkit)
    engine(BATCH)

    with pytest.raises(EngineError, match=reason):
        engine.wait_until_built(5)
    engine(BATCH)

    assert engine.name == "bicubic"
    assert reason in engine.passed_over[-1]
    assert len(error_logs) == 1
    assert toolkit.built == [(2, 8, 8)]
    assert engine.building == ""
    assert not list(tmp_path.glob("*.bin"))


def test_without_facts_about_the_machine_the_other_engine_goes_on(open_engine, error_logs):
    engine = open_engine(FakeToolkit(no_facts=OSError("libcuda.so.1 is not here")))

    with pytest.raises(EngineError, match=r"OSError: libcuda.so.1 is not here"):
        engine.build_now((2, 8, 8))
    for _ in range(3):
        engine(BATCH)

    assert engine.name == "bicubic"
    assert len(engine.passed_over) == len(error_logs) == 1


class OffByALevel(BicubicEngine):
    """A network's mistake that back-projection takes back."""

    back_projects = True

    def _run(self, batch):
        return super()._run(batch) + np.uint8(1)


def test_pictures_are_back_projected_once(random_checkpoint, tmp_path):
    frame = np.full((1, 16, 16, 3), 100, np.uint8)
    frame[:, 4:8, 4:8] = 110
    stand_ins = (BicubicEngine(), OffByALevel())
    for stand_in in stand_ins:
        engine = CompiledEngine(
            load_checkpoint(random_checkpoint()), FakeToolkit(), stand_in, reference=stand_in, cache=tmp_path,
            settle_s=60,
        )  # fmt: skip
        expected = stand_in(frame)
        assert (engine(frame) == expected).all()
        engine.build_now((1, 16, 16))
        assert (engine(frame) != expected).any()  # bicubic by the toolkit, which the engine back-projects
        assert engine.name == "fake"


def run_once_built(engine):
    engine(BATCH)
    engine.wait_until_built(5)
    engine(BATCH)
    return engine
