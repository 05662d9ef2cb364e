import logging
import threading
from itertools import chain, count, cycle, islice, repeat

import numpy as np
import pytest
from fakes import FakeCamera, FakeClock, grey, noise

from realtime.errors import CameraNotFound
from realtime.watchdog import CameraWatch

NOISE = [noise(seed) for seed in range(4)]
SMALLER = [noise(seed, (320, 240)) for seed in range(4)]


class Shelf:
    """The cameras that opening gives, one after the other; None for no camera. After the last: no camera."""

    def __init__(self, clock, *cameras):
        self.clock, self.cameras, self.opened_at = clock, list(cameras), []

    def __call__(self):
        self.opened_at.append(self.clock())
        camera = self.cameras.pop(0) if self.cameras else None
        if camera is None:
            raise CameraNotFound("fake: expected a camera, got none; it was told to be away")
        return camera


def alive(clock, **arguments):
    """A camera that works."""
    return FakeCamera(cycle(NOISE), clock=clock, **arguments)


def watched(clock, camera, *others):
    shelf = Shelf(clock, *others)
    return CameraWatch(shelf, camera, clock=clock, pause=clock.sleep), shelf


def read(watch, frames):
    return [watch.read() for _ in range(frames)]


def read_until(watch, state, clock, within_s):
    """Read while the camera is well; give the seconds that passed before it was said to be otherwise."""
    start = clock()
    while watch.state != state:
        watch.read()
        assert clock() - start < within_s, f"still {watch.state}"
    return clock() - start


def test_time_between_opening_and_the_first_read_is_not_held_against_the_camera():
    clock = FakeClock()
    watch, _ = watched(clock, alive(clock))
    clock.sleep(3)

    read(watch, 1)

    assert watch.state == "ok"


def test_good_camera_is_left_alone():
    clock = FakeClock()
    watch, shelf = watched(clock, alive(clock))

    frames = read(watch, 100)

    assert [frame.seq for frame in frames] == list(range(100))
    assert (watch.state, watch.width, watch.height, watch.fps) == ("ok", 640, 480, 30)
    assert shelf.opened_at == []


def test_unplugged_camera_is_opened_again():
    clock = FakeClock()
    first = alive(clock, fail_after=10)
    watch, shelf = watched(clock, first, None, alive(clock))

    frames = read(watch, 20)

    assert first.closed
    assert len(shelf.opened_at) == 2
    assert frames[-1] is not None
    assert watch.state == "ok"


def test_camera_gone_for_half_a_minute_comes_back_and_the_gap_is_marked():
    clock = FakeClock()
    watch, shelf = watched(clock, alive(clock, fail_after=10), *[None] * 17, alive(clock))

    frames = read(watch, 20)

    gap_s = (frames[10].captured_ns - frames[9].captured_ns) / 1e9
    assert gap_s > 30
    assert np.all(np.diff([frame.captured_ns for frame in frames]) > 0)
    seqs = [frame.seq for frame in frames]
    assert seqs[10] - seqs[9] == pytest.approx(30 * gap_s, abs=2)
    assert np.all(np.diff(seqs[:10]) == 1)
    assert np.all(np.diff(seqs[10:]) == 1)
    assert np.diff(shelf.opened_at).max() <= 2.1


def test_waits_between_attempts_grow():
    clock = FakeClock()
    watch, shelf = watched(clock, alive(clock, fail_after=1), *[None] * 5, alive(clock))

    read(watch, 2)

    assert np.diff(shelf.opened_at) == pytest.approx([0.5, 1, 2, 2, 2])


def test_lost_camera_is_said_while_it_is_away():
    clock, seen = FakeClock(), []
    shelf = Shelf(clock, None, None, alive(clock))
    watch = CameraWatch(
        shelf, alive(clock, fail_after=1), clock=clock, pause=lambda s: (seen.append(watch.state), clock.sleep(s))
    )

    read(watch, 2)

    assert seen == ["lost"] * 3
    assert watch.state == "ok"


def test_camera_that_nobody_reads_yet_is_not_lost():
    clock = FakeClock()
    watch, _ = watched(clock, alive(clock))

    clock.sleep(10)

    assert watch.state == "ok"


class Hanging(FakeCamera):
    """Calls meanwhile() in its sixth read."""

    def read(self):
        if self._seq == 5:
            self.meanwhile()
        return super().read()


def test_hanging_read_is_said_within_a_second_and_logged_once(caplog):
    clock, states = FakeClock(), []
    camera = Hanging(cycle(NOISE), clock=clock)
    watch, _ = watched(clock, camera)

    def ask():
        for seconds in (0.8, 0.2, 0):
            clock.sleep(seconds)
            states.append(watch.state)

    camera.meanwhile = ask
    read(watch, 6)

    assert states == ["ok", "lost", "lost"]
    assert [record.getMessage() for record in caplog.records if "lost" in record.getMessage()] == [
        "fake is lost: no frame for 0.9 s"
    ]


def test_a_frame_that_comes_while_the_state_is_asked_for_has_the_last_word():
    clock, started, released = FakeClock(), threading.Event(), threading.Event()
    camera = Hanging(cycle(NOISE), clock=clock)
    watch, _ = watched(clock, camera)
    reader = threading.Thread(target=read, args=(watch, 6))

    def hang():
        started.set()
        released.wait(5)

    class Late(threading.Event):
        """Whoever asks is answered only once the frame has come; or would have, did nothing hold it up."""

        def is_set(self):
            if threading.current_thread() is not reader:
                released.set()
                reader.join(0.5)
            return super().is_set()

    camera.meanwhile, watch._stopped = hang, Late()
    reader.start()
    started.wait(5)
    clock.sleep(1)
    watch.state  # noqa: B018
    reader.join(5)

    assert watch.state == "slow"  # one frame in a second


def test_a_camera_that_nobody_reads_is_not_lost(caplog):
    clock = FakeClock()
    watch, _ = watched(clock, alive(clock))
    read(watch, 5)

    clock.sleep(5)

    assert (watch.state, caplog.records) == ("ok", [])


def test_a_camera_that_was_stopped_is_not_lost(caplog):
    clock, states = FakeClock(), []
    camera = Hanging(cycle(NOISE), clock=clock)
    watch, _ = watched(clock, camera)

    def stop():
        watch.stop()
        clock.sleep(5)
        states.append(watch.state)

    camera.meanwhile = stop
    read(watch, 6)

    assert (states, caplog.records) == (["ok"], [])


def test_gaps_are_counted_where_the_camera_was_opened_again_or_gave_nothing_for_long():
    clock = FakeClock()
    first, second = alive(clock, fail_after=10), alive(clock)
    watch, _ = watched(clock, first, None, second)

    frames = read(watch, 15)
    clock.sleep(2)
    frames += read(watch, 5)

    assert [frame.gaps for frame in frames] == [0] * 10 + [1] * 5 + [2] * 5
    assert [frame.number for frame in frames] == list(range(20))
    assert frames[10].missed == frames[-1].missed == frames[10].seq - frames[9].seq - 1 > 0


def test_frozen_camera_is_found_within_a_second_and_opened_again():
    clock = FakeClock()
    frozen = FakeCamera(chain(islice(cycle(NOISE), 30), repeat(NOISE[0])), clock=clock)
    watch, shelf = watched(clock, frozen, alive(clock))

    frames = read(watch, 60)

    frozen_at = frames[29].captured_ns / 1e9
    assert shelf.opened_at[0] - 0.25 - frozen_at < 1
    assert frozen.closed
    assert watch.state == "ok"
    assert np.all(np.diff([frame.seq for frame in frames]) > 0)


def test_camera_that_is_frozen_again_after_opening_gives_no_frame_until_it_moves():
    clock = FakeClock()
    still = [FakeCamera(repeat(NOISE[0]), clock=clock) for _ in range(3)]
    watch, shelf = watched(clock, *still, alive(clock))

    frames = read(watch, 40)

    times = np.array([frame.captured_ns for frame in frames]) / 1e9
    assert len(shelf.opened_at) == 3
    assert np.diff(times).max() > 1.5
    shown = [np.array_equal(frame.image, NOISE[0]) for frame in frames]
    assert not any(shown[int(np.diff(times).argmax()) + 1 :][:3])


def test_frozen_is_said_on_the_way():
    clock, seen = FakeClock(), []
    shelf = Shelf(clock, FakeCamera(repeat(NOISE[0]), clock=clock), alive(clock))
    watch = CameraWatch(
        shelf,
        FakeCamera(repeat(NOISE[0]), clock=clock),
        clock=clock,
        pause=lambda s: (seen.append(watch.state), clock.sleep(s)),
    )

    read(watch, 40)

    assert seen == ["frozen", "frozen"]


def test_still_scene_with_a_sensors_noise_is_not_frozen():
    clock, rng = FakeClock(), np.random.default_rng(0)
    image = grey()
    speckled = (image + (rng.random((480, 640, 1)) < 0.01).astype(np.uint8) for _ in count())
    watch, shelf = watched(clock, FakeCamera(speckled, clock=clock))

    read(watch, 60)

    assert (watch.state, shelf.opened_at) == ("ok", [])


def test_black_camera_is_said_within_a_second_and_not_opened_again():
    clock = FakeClock()
    watch, shelf = watched(clock, FakeCamera(chain(NOISE, repeat(grey(3))), clock=clock))

    took_s = read_until(watch, "black", clock, 1)
    read(watch, 100)

    assert took_s < 1
    assert (watch.state, shelf.opened_at) == ("black", [])


def test_uncovered_camera_is_well_again():
    clock = FakeClock()
    watch, _ = watched(clock, FakeCamera(chain([grey(3)] * 60, cycle(NOISE)), clock=clock))

    read(watch, 60)
    while_covered = watch.state
    read(watch, 2)

    assert (while_covered, watch.state) == ("black", "ok")


def test_slow_camera_is_said_and_its_frames_are_passed_on():
    clock = FakeClock()
    watch, shelf = watched(clock, alive(clock, period_s=0.2))

    read_until(watch, "slow", clock, 1.5)
    frames = read(watch, 20)

    assert (watch.state, shelf.opened_at) == ("slow", [])
    assert np.all(np.diff([frame.seq for frame in frames]) == 1)


def test_camera_that_becomes_slow_is_said_within_a_second():
    clock = FakeClock()
    camera = alive(clock)
    watch, _ = watched(clock, camera)
    read(watch, 60)

    camera._period_s = 0.2
    took_s = read_until(watch, "slow", clock, 2)
    camera._period_s = 1 / 30
    read(watch, 31)

    assert took_s < 1
    assert watch.state == "ok"


def test_other_size_than_promised_is_taken_over():
    clock = FakeClock()
    watch, shelf = watched(clock, FakeCamera(cycle(SMALLER), clock=clock))

    frame = watch.read()

    assert frame.image.shape == (240, 320, 3)
    assert (watch.width, watch.height, watch.state, shelf.opened_at) == (320, 240, "ok", [])


def test_change_of_mode_is_taken_over_and_its_first_frames_are_left_out():
    clock = FakeClock()
    watch, shelf = watched(clock, FakeCamera(chain(NOISE, cycle(SMALLER)), clock=clock))

    frames = read(watch, 10)

    assert [frame.image.shape[1] for frame in frames] == [640] * 4 + [320] * 6
    assert frames[4].seq - frames[3].seq == 3
    assert (watch.width, watch.height, shelf.opened_at) == (320, 240, [])


def test_single_frame_of_an_odd_size_is_left_out():
    clock = FakeClock()
    watch, shelf = watched(clock, FakeCamera(chain(NOISE, SMALLER[:1], cycle(NOISE)), clock=clock))

    frames = read(watch, 10)

    assert {frame.image.shape for frame in frames} == {(480, 640, 3)}
    assert [frame.seq for frame in frames] == [0, 1, 2, 3, 5, 6, 7, 8, 9, 10]
    assert shelf.opened_at == []


@pytest.mark.parametrize(
    "broken",
    [cycle([*SMALLER[:2], noise(0, (160, 120))]), repeat(NOISE[0][..., 0]), repeat(NOISE[0].astype(np.float32))],
    ids=["changing sizes", "grey frames", "floats"],
)
def test_camera_with_unusable_frames_is_opened_again_within_a_second(broken):
    clock = FakeClock()
    watch, shelf = watched(clock, FakeCamera(chain(NOISE, broken), clock=clock), alive(clock))

    frames = read(watch, 10)

    assert {frame.image.shape for frame in frames} == {(480, 640, 3)}
    assert (frames[4].captured_ns - frames[3].captured_ns) / 1e9 < 1 + 0.25
    assert len(shelf.opened_at) == 1


def test_each_change_is_logged_once(caplog):
    clock = FakeClock()
    watch, _ = watched(clock, alive(clock, fail_after=10), *[None] * 8, alive(clock))

    with caplog.at_level(logging.INFO):
        read(watch, 60)

    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "fake is lost: fake: expected a frame" in caplog.text
    assert "fake is ok: 640x480" in caplog.text


def test_stop_ends_the_wait_for_a_lost_camera():
    clock = FakeClock()
    watch = CameraWatch(Shelf(clock), FakeCamera([], fail_after=0))
    reader = threading.Thread(target=watch.read)
    reader.start()

    watch.stop()
    reader.join(5)

    assert not reader.is_alive()
    assert watch.read() is None


def test_leaving_closes_the_camera():
    clock = FakeClock()
    camera = alive(clock)
    watch, _ = watched(clock, camera)

    with watch:
        watch.read()

    assert camera.closed
