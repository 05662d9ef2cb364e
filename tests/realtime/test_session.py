import io
import re
import time
from contextlib import ExitStack
from dataclasses import replace
from itertools import groupby
from types import SimpleNamespace

import numpy as np
import pytest
from fakes import FakeCamera, FakeClock, FakeCropper, FakeFaceMesh, IdentityEngine, noise
from rich.console import Console

from realtime.bypass import Bypass
from realtime.client import Subscriber
from realtime.config import CameraConfig, Config, CropConfig, PublisherConfig
from realtime.crops import Cropper
from realtime.display import Display
from realtime.errors import CameraLost
from realtime.metrics import Metrics
from realtime.publisher import Publisher
from realtime.session import Parts, Session
from realtime.signals import Stop
from realtime.sinks import Outlet
from realtime.watchdog import CameraWatch
from realtime.wire import decode, encode

EYES = [[290, 200], [335, 202]]
EVERY_FRAME = Config(camera=CameraConfig(as_fast_as_possible=True), publisher=PublisherConfig(bind="tcp://127.0.0.1:*"))


class SentNowhere:
    """A publisher that keeps what it is given."""

    stream = "test"

    def __init__(self):
        self.sent = []

    def send(self, message):
        self.sent.append(decode(message))
        return time.monotonic_ns()

    def messages(self, topic):
        return [m for m in self.sent if getattr(m, "topic", "status") == topic]


class SlowEngine(IdentityEngine):
    def __init__(self, delay_s):
        super().__init__()
        self._delay_s = delay_s

    def _run(self, batch):
        time.sleep(self._delay_s)
        return super()._run(batch)


class LiveCamera(FakeCamera):
    """Gives ten frames a second, whoever waits."""

    def read(self):
        time.sleep(0.1)
        return super().read()


def session(config=EVERY_FRAME, *, frames=4, stop=None, **parts):
    fakes = {
        "camera": FakeCamera([noise(seq) for seq in range(frames)]),
        "face_mesh": FakeFaceMesh(lambda seq: EYES),
        "cropper": FakeCropper(),
        "engine": IdentityEngine(),
        "tiers": None,
        "bypass": None,
        "publisher": SentNowhere(),
    }
    display = Display(Console(file=io.StringIO()))
    return Session(config, Parts(**fakes | parts), Metrics(), display, Stop() if stop is None else stop)


@pytest.mark.parametrize(
    ("stage", "part", "method"),
    [
        ("capture_wait", "camera", "read"),
        ("landmarks", "face_mesh", None),
        ("crops", "cropper", None),
        ("engine", "engine", "_run"),
        ("encode", "encode", None),
        ("send", "publisher", "send"),
    ],
    ids=lambda value: value or "",
)
def test_a_delay_is_found_in_the_stage_that_it_was_put_in(stage, part, method, monkeypatch):
    clock = FakeClock()
    for module in ("pipeline", "session"):
        monkeypatch.setattr(f"realtime.{module}.monotonic_ns", lambda: round(clock() * 1e9))

    def late(function):
        def delayed(*args, **kwargs):
            result = function(*args, **kwargs)
            clock.sleep(0.05)
            return result

        return delayed

    parts = {
        "camera": FakeCamera([noise(seq) for seq in range(4)], clock=clock, period_s=0),
        "face_mesh": FakeFaceMesh(lambda seq: EYES),
        "cropper": FakeCropper(),
        "engine": IdentityEngine(),
        "encode": encode,
        "publisher": SentNowhere(),
    }
    if method is None:
        parts[part] = late(parts[part])
    else:
        setattr(parts[part], method, late(getattr(parts[part], method)))
    run = session(**parts)

    run.stream()

    delay_ms = pytest.approx(50, rel=0.01)
    p50_ms = {name: durations.summary_ms()["p50"] for name, durations in run.metrics.stages.items()}
    assert p50_ms.pop(stage) == delay_ms
    assert max(p50_ms.values()) < 0.01
    assert run.metrics.latency.summary_ms()["p50"] == delay_ms
    told = [run.status(), *(message.values for message in parts["publisher"].messages("status"))]
    assert max(values["stages_ms"][stage]["p50"] or 0.0 for values in told) == delay_ms


def test_a_frame_that_waits_for_the_engine_says_so():
    config = Config(camera=CameraConfig(as_fast_as_possible=False), publisher=EVERY_FRAME.publisher)
    camera = LiveCamera([noise(seq) for seq in range(6)])
    run = session(config, camera=camera, engine=SlowEngine(0.15))

    run.stream()

    stages = {name: durations.summary_ms() for name, durations in run.metrics.stages.items()}
    assert 40 <= stages["engine_wait"]["max"] < 500
    assert stages["engine"]["p50"] >= 148  # percentiles are exact to 1 %
    assert max(stages[name]["p50"] for name in ("capture_wait", "landmarks", "crops", "encode", "send")) < 25


def test_every_frame_is_sent_and_counted():
    run = session(frames=7)

    run.stream()

    assert run.metrics.published == run.metrics.frames_captured == run.metrics.faces_published == 7


def test_a_frame_without_a_face_is_sent_without_pixels():
    publisher = SentNowhere()
    run = session(publisher=publisher, face_mesh=FakeFaceMesh(lambda seq: None if seq % 2 else EYES))

    run.stream()

    assert [m.face_found for m in publisher.messages("eyes")] == [True, False, True, False]
    assert run.metrics.faces_found == 2


class PausingMesh(FakeFaceMesh):
    """Takes far longer than a frame's period."""

    def __call__(self, frame):
        time.sleep(0.1)
        return super().__call__(frame)


class SteadyCamera(FakeCamera):
    """100 frames a second by the real clock."""

    def read(self):
        time.sleep(0.01)
        return super().read()


def test_a_slow_chain_drops_frames_counts_each_and_stays_at_the_newest():
    publisher = SentNowhere()
    camera = SteadyCamera([noise(0)] * 60)
    run = session(Config(), camera=camera, publisher=publisher, face_mesh=PausingMesh(lambda seq: EYES))

    run.stream()

    messages = publisher.messages("eyes")
    assert 2 <= len(messages) < 30
    assert [m.dropped for m in messages] == [m.seq - index for index, m in enumerate(messages)]
    assert run.metrics.frames_captured == messages[-1].seq + 1
    assert run.metrics.latency.summary_ms()["max"] < 1000  # in a queue the last would be six seconds old
    told = run.status()
    assert told["dropped"] == told["captured"] - told["published"] == messages[-1].dropped > 30


def test_a_lost_camera_reaches_the_caller_and_leaves_no_thread():
    run = session(Config(), camera=FakeCamera([noise(0)] * 9, fail_after=2))

    with pytest.raises(CameraLost):
        run.stream()


def test_seconds_end_the_run():
    camera = SteadyCamera([noise(0)] * 1000)
    run = session(Config(seconds=0.3), camera=camera)

    started = time.monotonic()
    run.stream()

    assert time.monotonic() - started < 2
    assert camera.stopped


def test_a_signal_ends_the_run_even_while_no_frame_comes():
    class Silent(FakeCamera):
        def read(self):
            stop.signal = 15
            while not self.stopped:
                time.sleep(0.01)

    stop = Stop()
    run = session(Config(), camera=Silent([]), stop=stop)

    run.stream()

    assert run.metrics.published == 0


def test_status_says_how_it_goes_while_no_frame_comes():
    class Away(FakeCamera):
        def read(self):
            while not self.stopped:
                time.sleep(0.01)

    publisher = SentNowhere()
    run = session(Config(seconds=0.5), camera=Away([], state="lost"), publisher=publisher)

    run.stream()

    values = publisher.messages("status")[0].values
    assert values["camera"]["state"] == "lost"
    assert values["fps"] == 0
    assert values["hints"] == ["no face"]


def test_status_says_what_is_being_built_why_the_tier_was_changed_and_why_the_network_is_bypassed():
    class Building(IdentityEngine):
        building = "compiler: building for 2x48x64, 35 s so far; cuda serves meanwhile"

    why = "medium8 -> small8: too slow for 30 frames a second"
    tiers = SimpleNamespace(reason=why, observe=lambda enhanced: None)
    bypass = Bypass(IdentityEngine(), smallest_iris_px=1000)
    publisher = SentNowhere()

    session(publisher=publisher, tiers=tiers, bypass=bypass, engine=Building()).stream()

    too_small, told, building = publisher.messages("status")[-1].values["hints"]
    assert too_small.startswith("iris ")
    assert told == why
    assert building == Building.building


def test_the_first_frame_after_the_camera_was_away_is_marked():
    unplugged = FakeCamera([noise(seq) for seq in range(2)], fail_after=2)
    back = FakeCamera([noise(seq) for seq in range(2, 4)])
    publisher = SentNowhere()

    run = session(camera=CameraWatch(lambda: back, unplugged, pause=time.sleep), publisher=publisher)
    run.stream()

    assert [m.marks for m in publisher.messages("eyes")] == [(), (), ("camera_gap",), ()]


def test_status_says_at_once_that_the_camera_fails_and_that_it_is_back():
    class Fading(SteadyCamera):
        state = property(lambda self: "black" if 20 <= self._seq < 60 else "ok", lambda self, _: None)

    publisher = SentNowhere()
    run = session(Config(), camera=Fading([noise(0)] * 80), publisher=publisher)

    run.stream()

    told = [message.values["camera"]["state"] for message in publisher.messages("status")]
    assert [state for state, _ in groupby(told)] == ["ok", "black", "ok"]  # in less than a second


def test_more_frames_than_the_machine_holds_are_a_hint():
    publisher = SentNowhere()
    camera = SteadyCamera([noise(0)] * 150)
    run = session(Config(), camera=camera, publisher=publisher, face_mesh=PausingMesh(lambda seq: EYES))

    run.stream()

    told = [message.values for message in publisher.messages("status")][1]
    number = int(
        re.fullmatch(r"more frames than this machine holds: (\d+) dropped in the last second", *told["hints"])[1]
    )
    assert number == told["dropped"] > 20


def test_frames_that_the_camera_did_not_give_while_it_was_away_are_neither_captured_nor_dropped():
    class Away(FakeCamera):
        def read(self):
            frame = super().read()
            back = frame is not None and frame.seq > 1
            return replace(frame, seq=frame.seq + 900, gaps=1, missed=900) if back else frame

    publisher = SentNowhere()
    run = session(camera=Away([noise(seq) for seq in range(4)]), publisher=publisher)

    run.stream()

    told = run.status()
    assert told["hints"] == []
    assert (told["captured"], told["published"], told["dropped"]) == (4, 4, 0)
    assert [(m.seq, m.dropped) for m in publisher.messages("eyes")] == [(0, 0), (1, 0), (902, 0), (903, 0)]


def test_another_engine_is_marked_at_its_first_message():
    class Changing(IdentityEngine):
        def _run(self, batch):
            self.name = "identity" if batch[0, 0, 0, 0] < 200 else "other"
            return super()._run(batch)

    images = [np.full((480, 640, 3), level, np.uint8) for level in (0, 0, 255, 255)]
    publisher = SentNowhere()
    run = session(camera=FakeCamera(images), publisher=publisher, engine=Changing())

    run.stream()

    assert [m.marks for m in publisher.messages("eyes")] == [(), (), ("engine_changed",), ()]
    assert run.metrics.by_engine == {"identity": 2, "other": 2}


def test_face_and_eyes_go_out_together_on_their_topics():
    config = Config(
        camera=CameraConfig(as_fast_as_possible=True), crops=CropConfig(face=True), publisher=EVERY_FRAME.publisher
    )
    publisher = SentNowhere()
    run = session(config, publisher=publisher, cropper=Cropper(config.crops))

    run.stream()

    assert [m.seq for m in publisher.messages("face")] == [m.seq for m in publisher.messages("eyes")] == [0, 1, 2, 3]


class SlowSink:
    """Wants every frame, and takes 30 ms for each."""

    queue = 3

    def __init__(self):
        self.seqs = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def pick(self, sent):
        return decode(sent.messages[0]).seq

    def send(self, seq):
        time.sleep(0.03)
        self.seqs.append(seq)


def test_a_sink_that_keeps_every_frame_sets_the_pace_where_every_frame_is_worked_off():
    sink = SlowSink()
    with Outlet("slow", sink) as outlet:
        session(frames=30, outlets=(outlet,)).stream()

    assert sink.seqs == list(range(30))


def test_frames_that_a_sink_dropped_are_in_the_line_for_the_terminal():
    shown = []
    display = SimpleNamespace(update=lambda line, done: shown.append(line))
    outlet = SimpleNamespace(
        put=lambda sent: None,
        wait_for_room=lambda timeout_s: True,
        status=lambda: {"name": "record=kept", "state": "open", "dropped": 34},
    )
    run = session(outlets=(outlet,))
    run._display = display

    run.stream()

    assert "sink record=kept open 34 dropped" in shown[0]


def test_a_real_subscriber_receives_what_was_sent():
    class Patient(FakeCamera):
        def read(self):
            time.sleep(0.02)
            return super().read()

    with ExitStack() as stack:
        publisher = stack.enter_context(Publisher(EVERY_FRAME.publisher))
        subscriber = stack.enter_context(Subscriber(publisher.endpoint, newest=False, timeout_s=2))
        run = session(camera=Patient([noise(seq) for seq in range(30)]), publisher=publisher)

        run.stream()

        message = subscriber.receive()
        assert message.patches.shape == (2, 96, 128, 3)
        assert message.stamps_ns["engine"] <= message.sent_ns
