"""An engine that outlives its back end."""

import re
import threading
import time

import numpy as np
import pytest

from engines import (
    DEFAULT_TIER,
    BackendUnavailable,
    Engine,
    EngineError,
    ResilientEngine,
    load_engine,
    load_resilient,
    save_checkpoint,
)
from engines.checkpoint import load_checkpoint
from realtime.demo import DemoCamera


class ScriptedEngine(Engine):
    """Answers with one value, or does what its script says for the call of that number."""

    back_projects = False  # or it would correct the one level that tells two engines apart

    def __init__(self, name="scripted", value=1, script=None, frames=1, scale=2):
        self.name, self.tier, self.sha256 = name, f"{name} tier", f"{name} sha256"
        self.frames, self.scale = frames, scale
        self.value, self.script, self.calls, self.closed = value, script or {}, 0, False

    def _run(self, batch):
        self.calls += 1
        if act := self.script.get(self.calls):
            return act(batch)
        n, height, width, _ = batch.shape
        return np.full((n, height * self.scale, width * self.scale, 3), self.value, np.uint8)

    def close(self):
        self.closed = True


def fail(batch):
    raise EngineError("out of memory")


def crash(batch):
    raise ZeroDivisionError("a bug")


def call_until(engine, batch, name, within_s=1.0):
    deadline = time.monotonic() + within_s
    while engine.name != name:
        assert time.monotonic() < deadline, f"still {engine.name} after {within_s} s"
        output = engine(batch)
        time.sleep(0.005)
    return output


BATCH = np.zeros((2, 8, 8, 3), np.uint8)


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (fail, "out of memory"),
        (crash, "ZeroDivisionError: a bug"),
        (lambda batch: batch, r"expected uint8 \(2, 16, 16, 3\) from it, got uint8 \(2, 8, 8, 3\)"),
        (lambda batch: np.zeros((2, 16, 16, 3), np.float32), "got float32"),
        (lambda batch: np.full((2, 16, 16, 3), 90, np.uint8), "a quarter of a picture as bright .* 0, got 90"),
        (lambda batch: time.sleep(0.5), "no answer within 0.1 s"),
    ],
    ids=["error", "bug", "shape", "dtype", "brightness", "hang"],
)
def test_a_failing_engine_is_replaced_within_a_second(act, reason, error_logs):
    first, second = ScriptedEngine("first", 1, {3: act}), ScriptedEngine("second", 2)

    with ResilientEngine(first, [lambda: second], timeout_s=0.1) as engine:
        assert [engine(BATCH).max() for _ in range(2)] == [1, 1]
        made = engine(BATCH)
        assert (engine.name, engine.tier, engine.sha256) == ("bicubic", "bicubic", "")
        assert made.shape == (2, 16, 16, 3)
        assert call_until(engine, BATCH, "second").max() == 2
        assert (engine.tier, engine.sha256) == ("second tier", "second sha256")

    assert re.search(reason, engine.passed_over[-1])
    assert "first (first tier): failed while running" in error_logs[0]


def test_one_that_fails_while_it_is_warmed_is_closed(error_logs):
    bad = ScriptedEngine("bad", script={1: fail})
    with ResilientEngine(ScriptedEngine("first")) as engine:
        engine(BATCH)
        engine.replace(lambda: bad)
        deadline = time.monotonic() + 2
        while not (bad.closed and engine.passed_over) and time.monotonic() < deadline:
            time.sleep(0.005)
            engine(BATCH)

    assert bad.closed
    assert "out of memory" in engine.passed_over[-1]


def test_what_an_engine_passes_over_while_it_runs_is_told():
    def cannot_build(batch):
        first.passed_over += ("compiler: no kernel for this card",)
        return np.ones((2, 16, 16, 3), np.uint8)

    first = ScriptedEngine("first", script={2: cannot_build})
    first.passed_over = ("tensorrt: not installed",)
    with ResilientEngine(first) as engine:
        for _ in range(3):
            engine(BATCH)

    assert engine.passed_over == ("tensorrt: not installed", "compiler: no kernel for this card")


def test_what_the_engine_is_building_is_told_for_as_long_as_it_serves(error_logs):
    class Building(ScriptedEngine):
        building = "compiler: building for 2x8x8, 3 s so far; first serves meanwhile"

    with ResilientEngine(Building("first", script={2: fail})) as engine:
        engine(BATCH)
        assert engine.building == Building.building
        engine(BATCH)
        assert engine.building == ""


@pytest.mark.parametrize("compiles", [True, False])
def test_a_new_shape_may_take_long_only_where_it_is_compiled(compiles, error_logs):
    first = ScriptedEngine("first", script={2: lambda batch: stall(batch).repeat(2, axis=2)})
    first.compiles_shapes = compiles
    with ResilientEngine(first, timeout_s=0.1, first_timeout_s=5) as engine:
        engine(BATCH)
        engine(np.zeros((2, 8, 16, 3), np.uint8))
        assert engine.name == ("first" if compiles else "bicubic")


def stall(batch):
    time.sleep(0.3)
    return np.ones((2, 16, 16, 3), np.uint8)


def test_an_engine_that_was_late_serves_again(error_logs):
    with ResilientEngine(ScriptedEngine("first", script={2: stall}), timeout_s=0.1, pause_s=0.05) as engine:
        engine(BATCH)
        engine(BATCH)
        assert engine.name == "bicubic"
        assert call_until(engine, BATCH, "first").max() == 1

    assert len(engine.passed_over) == 1


def test_each_time_it_was_late_it_waits_twice_as_long(error_logs):
    first, away = ScriptedEngine("first", script={2: stall, 4: stall, 6: stall}), []
    with ResilientEngine(first, timeout_s=0.1, pause_s=0.3) as engine:
        for _ in range(3):
            call_until(engine, BATCH, "bicubic")
            left = time.monotonic()
            call_until(engine, BATCH, "first", within_s=3)
            away.append(time.monotonic() - left)

    assert all(0.9 * pause < took < pause + 0.5 for took, pause in zip(away, (0.3, 0.6, 1.2), strict=True))


def test_one_that_never_answers_does_not_come_back(error_logs):
    never = threading.Event()

    def hang(batch):
        never.wait()
        fail(batch)

    first = ScriptedEngine("first", script={2: hang})
    with ResilientEngine(first, timeout_s=0.1, pause_s=0.0) as engine:
        for _ in range(10):
            engine(BATCH)
            time.sleep(0.01)
        assert engine.name == "bicubic"
        never.set()  # now it has an answer, and it is an error
        time.sleep(0.1)
        engine(BATCH)

    assert engine.name == "bicubic"


def test_a_spare_that_opened_too_late_is_kept_for_the_next_time(error_logs):
    opened = []

    def open_slowly():
        time.sleep(0.6)
        opened.append(ScriptedEngine("second", 2))
        return opened[-1]

    first = ScriptedEngine("first", script={2: stall})
    with ResilientEngine(first, [open_slowly], timeout_s=0.1, pause_s=0.05) as engine:
        call_until(engine, BATCH, "bicubic")
        call_until(engine, BATCH, "first")
        while not opened:
            time.sleep(0.01)
        time.sleep(0.1)
        assert engine(BATCH).max() == 1
        first.script[first.calls + 1] = fail
        call_until(engine, BATCH, "bicubic")
        assert call_until(engine, BATCH, "second", within_s=3).max() == 2

    assert [each.closed for each in opened] == [True, True]
    assert first.closed


def test_one_that_was_late_is_closed_when_a_spare_has_taken_over(error_logs):
    first = ScriptedEngine("first", script={2: stall})
    with ResilientEngine(first, [lambda: ScriptedEngine("second", 2)], timeout_s=0.1, pause_s=5) as engine:
        engine(BATCH)
        call_until(engine, BATCH, "second")
        time.sleep(0.4)
        engine(BATCH)

        assert engine.name == "second"
        assert first.closed


def in_the_dark(level):
    return np.full((2, 16, 16, 3), level, np.uint8)


@pytest.mark.parametrize("level", [6, 20, 127])
def test_black_where_the_camera_saw_light_is_a_failure_even_in_the_dark_or_in_half_of_a_picture(level, error_logs):
    def half_black(batch):
        made = np.full((2, 32, 32, 3), level, np.uint8)
        made[1, :, 16:] = 0
        return made

    for act in (half_black, lambda batch: np.zeros((2, 32, 32, 3), np.uint8)):
        with ResilientEngine(ScriptedEngine("first", level, {2: act})) as engine:
            shown = [(engine(in_the_dark(level)).max(), engine.name) for _ in range(2)]
            assert shown == [(level, "first"), (level, "bicubic")]


@pytest.mark.parametrize(("level", "made"), [(2, 0), (2, 6), (20, 12), (20, 28), (200, 230)])
def test_a_level_or_two_beside_the_cameras_is_no_failure(level, made):
    with ResilientEngine(ScriptedEngine("first", made)) as engine:
        engine(in_the_dark(level))

        assert engine.name == "first"


@pytest.mark.parametrize("side", [1, 2, 5, 11])
def test_pictures_of_any_size_are_looked_at(side, error_logs):
    black = np.zeros((1, 2 * side, 2 * side, 3), np.uint8)
    batch = np.full((1, side, side, 3), 100, np.uint8)

    with ResilientEngine(ScriptedEngine("first", 100, {2: lambda batch: black})) as engine:
        assert [(engine(batch).max(), engine.name) for _ in range(2)] == [(100, "first"), (100, "bicubic")]


@pytest.mark.parametrize("level", [3, 8, 15, 25])
def test_a_shipped_network_is_not_taken_for_broken_in_the_dark(level):
    demo, noise = DemoCamera(paced=False), np.random.default_rng(0)
    with load_resilient("openvino", DEFAULT_TIER) as engine:
        for seq in range(5):
            image = demo.image(seq)
            eyes = np.stack([image[y - 24 : y + 24, x - 32 : x + 32] for x, y in demo.true_eyes(seq).astype(int)])
            dark = eyes * (level / eyes.mean())
            grainy = np.clip(dark[..., None, :] + noise.normal(0, 3, (2, 48, 64, engine.frames, 3)), 0, 255)
            engine(grainy.reshape(2, 48, 64, -1).astype(np.uint8))

    assert engine.passed_over == ()


def test_bicubic_serves_for_good_when_no_spare_opens(error_logs):
    def broken():
        raise EngineError("second: not here")

    with ResilientEngine(ScriptedEngine("first", script={1: fail}), [broken]) as engine:
        for _ in range(20):
            engine(BATCH)
            time.sleep(0.005)

    assert engine.name == "bicubic"
    assert engine.passed_over[-1] == "second: not here"
    assert len(error_logs) == 1


def test_a_slow_first_batch_of_a_shape_is_not_a_hang():
    def compile_slowly(batch):
        time.sleep(0.2)
        return np.ones((2, 16, 16, 3), np.uint8)

    with ResilientEngine(ScriptedEngine("first", script={1: compile_slowly}), timeout_s=0.1) as engine:
        assert engine(BATCH).max() == 1

    assert engine.name == "first"


def test_a_larger_batch_is_given_more_time():
    def take_time(batch):
        time.sleep(0.2)
        return np.ones((2, 384, 512, 3), np.uint8)

    large = np.zeros((2, 192, 256, 3), np.uint8)
    with ResilientEngine(ScriptedEngine("first", script={2: take_time}), timeout_s=0.1) as engine:
        engine(large)
        assert engine(large).max() == 1

    assert engine.name == "first"


def test_another_tier_takes_over_warm_and_the_old_one_is_closed():
    old, new = ScriptedEngine("old", 1, frames=3), ScriptedEngine("new", 2, frames=1)
    batch = np.zeros((2, 8, 8, 9), np.uint8)

    with ResilientEngine(old) as engine:
        engine(batch)
        engine.replace(lambda: new)
        call_until(engine, batch, "new")
        assert new.calls >= 2  # once to warm it
        assert engine.frames == 3

    assert old.closed
    assert new.closed


def test_a_tier_of_more_frames_can_take_over_when_batches_hold_them():
    batch = np.zeros((2, 8, 8, 9), np.uint8)

    with ResilientEngine(ScriptedEngine("old", 1, frames=1), frames=3) as engine:
        assert engine.frames == 3
        assert engine(batch).max() == 1
        engine.replace(lambda: ScriptedEngine("new", 2, frames=3))
        assert call_until(engine, batch, "new").max() == 2


def test_a_replacement_of_another_scale_is_refused():
    with ResilientEngine(ScriptedEngine("old")) as engine:
        engine(BATCH)
        engine.replace(lambda: ScriptedEngine("new", scale=4))
        deadline = time.monotonic() + 1
        while not engine.passed_over and time.monotonic() < deadline:
            engine(BATCH)
            time.sleep(0.005)

    assert engine.name == "old"
    assert "expected scale 2 and at most 1 frame(s), got 4 and 1" in engine.passed_over[-1]


def test_closing_ends_the_thread_and_closes_the_engine_once_more_without_harm():
    inner = ScriptedEngine()
    engine = ResilientEngine(inner)
    engine(BATCH)

    engine.close()
    engine.close()

    assert inner.closed
    assert not [thread for thread in threading.enumerate() if thread.name == "engine scripted"]


def test_load_resilient_serves_a_checkpoint(random_checkpoint, tmp_path, noise):
    with load_resilient("eager", random_checkpoint(), cache=tmp_path) as engine:
        assert engine(noise(2, 16, 16, 3)).shape == (2, 32, 32, 3)
        assert engine.name == "eager"


@pytest.mark.parametrize("name", ["native", "openvino", "eager"])
@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_network_that_computes_nan_is_not_shown(name, random_checkpoint, tmp_path, noise, error_logs):
    good = load_checkpoint(random_checkpoint())
    loud = {k: v * np.float32(1e25) if k.startswith("conv") else v for k, v in good.tensors.items()}
    path = save_checkpoint(tmp_path / "loud", good.config, loud, {})

    with ResilientEngine(load_engine(name, path, cache=tmp_path)) as engine:
        shown = engine(noise(2, 16, 16, 3))

    assert engine.name == "bicubic"
    assert shown.mean() == pytest.approx(127, abs=15)
    assert "did it compute NaN?" in engine.passed_over[-1]
    assert len(error_logs) == 1


def test_load_resilient_takes_batches_of_more_frames_for_a_tier_that_may_come(random_checkpoint, tmp_path, noise):
    with load_resilient("eager", random_checkpoint(), frames=3, cache=tmp_path) as engine:
        assert engine.frames == 3
        assert engine(noise(2, 16, 16, 9)).shape == (2, 32, 32, 3)


def test_a_native_engine_that_fails_is_replaced_by_openvino_and_no_answer_takes_a_second(tmp_path, noise, error_logs):
    try:
        engine = load_resilient("native", DEFAULT_TIER, threads=1, cache=tmp_path)
    except BackendUnavailable as err:
        pytest.skip(str(err))
    batch, served_by = noise(2, 48, 64, 3 * engine.frames), []

    with engine:
        engine(batch)
        assert (engine.name, engine.tier) == ("native", DEFAULT_TIER)
        engine._current.engine.close()  # from under it: the library is gone
        deadline = time.monotonic() + 60
        while engine.name != "openvino" and time.monotonic() < deadline:
            asked = time.monotonic()
            assert engine(batch).shape == (2, 96, 128, 3)
            assert time.monotonic() - asked < 1
            served_by.append((engine.name, engine.tier))
            time.sleep(0.01)

    assert served_by[0] == ("bicubic", "bicubic")
    assert set(served_by[:-1]) == {served_by[0]}
    assert served_by[-1] == ("openvino", DEFAULT_TIER)
    assert len(error_logs) == 1
    assert f"native ({DEFAULT_TIER}): failed while running: native: this engine is closed" in error_logs[0]
