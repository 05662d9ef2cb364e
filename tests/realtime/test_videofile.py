from pathlib import Path
from time import monotonic, sleep

import cv2
import numpy as np
import pytest
from fakes import grey, noise

from realtime.errors import CameraLost, CameraNotFound
from realtime.videofile import VideoFile


@pytest.fixture
def film(tmp_path) -> Path:
    """Twelve noisy frames of 64x48 at 50 frames a second; frame n is as bright as 20 n."""
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 50, (64, 48))
    for number in range(12):
        writer.write(cv2.add(grey(20 * number, (64, 48)), noise(number, (64, 48)) // 8))
    writer.release()
    return path


def read_all(camera):
    return list(iter(camera.read, None))


def numbers(frames):
    return [int(frame.image.mean() / 20) for frame in frames]


def test_every_frame_comes_when_not_paced(film):
    with VideoFile(film, paced=False) as camera:
        frames = read_all(camera)

    assert numbers(frames) == list(range(12))
    assert [frame.seq for frame in frames] == list(range(12))
    assert {frame.ts_source for frame in frames} == {"file"}


def test_size_and_rate_are_the_files(film):
    with VideoFile(film) as camera:
        facts = (camera.name, camera.width, camera.height, camera.fps, camera.state)

    assert facts == ("film.avi", 64, 48, 50, "ok")


def test_paced_file_takes_its_time(film):
    with VideoFile(film) as camera:
        start = monotonic()
        frames = read_all(camera)

    assert monotonic() - start > 0.2
    assert frames[-1].seq == 11
    assert np.all(np.diff([frame.captured_ns for frame in frames]) > 0)


def test_late_reader_misses_frames_and_seq_says_so(film):
    with VideoFile(film) as camera:
        first = camera.read()
        sleep(0.1)
        second = camera.read()

    assert first.seq == 0
    assert second.seq >= 4
    assert numbers([second]) == [second.seq]


def test_looped_file_goes_on_counting(film):
    with VideoFile(film, paced=False, loop=True) as camera:
        frames = [camera.read() for _ in range(30)]

    assert numbers(frames) == [number % 12 for number in range(30)]
    assert [frame.seq for frame in frames] == list(range(30))


def test_looped_file_that_is_gone_at_its_end_is_lost(film):
    with VideoFile(film, paced=False, loop=True) as camera:
        film.unlink()
        for _ in range(12):
            camera.read()

        with pytest.raises(CameraLost, match="start again"):
            camera.read()


def test_stopped_file_ends(film):
    with VideoFile(film) as camera:
        camera.stop()

        assert camera.read() is None


def test_missing_file_is_not_found(tmp_path):
    with pytest.raises(CameraNotFound, match="got no such file"):
        VideoFile(tmp_path / "nothing.mp4")


@pytest.mark.parametrize("content", [b"", b"This is no film.", b"\x00" * 10000], ids=["empty", "text", "zeros"])
def test_file_without_frames_is_refused_quietly(tmp_path, content, capfd):
    path = tmp_path / "broken.mp4"
    path.write_bytes(content)

    with pytest.raises(CameraNotFound, match="without a readable frame"):
        VideoFile(path)

    assert capfd.readouterr().err == ""


def test_damaged_film_ends_where_it_can_no_longer_be_read(film, capfd):
    six_frames_and_a_half = b"\xff\xd8".join(film.read_bytes().split(b"\xff\xd8")[:8])[:-100]
    film.write_bytes(six_frames_and_a_half)

    with VideoFile(film, paced=False) as camera:
        frames = read_all(camera)

    assert 6 <= len(frames) <= 7
    assert capfd.readouterr().err == ""
