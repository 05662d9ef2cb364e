from pathlib import Path
from time import monotonic, sleep

import cv2
import numpy as np
import pytest
from fakes import damaged, grey, noise

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


def test_damaged_frames_are_a_gap_that_is_counted_and_the_rest_is_played(film, caplog):
    film.write_bytes(damaged(film.read_bytes(), [4, 5, 9]))

    with VideoFile(film, paced=False) as camera:
        frames = read_all(camera)

    assert [frame.seq for frame in frames] == numbers(frames) == [0, 1, 2, 3, 6, 7, 8, 10, 11]
    assert [frame.missed for frame in frames] == [0, 0, 0, 0, 2, 2, 2, 3, 3]
    assert [frame.gaps for frame in frames] == [0, 0, 0, 0, 1, 1, 1, 2, 2]
    assert "film.avi: expected 12 frames, as the file states, got 9" in caplog.text


def test_damaged_frames_take_their_time(film):
    film.write_bytes(damaged(film.read_bytes(), range(1, 11)))

    with VideoFile(film) as camera:
        first, last = read_all(camera)

    assert (first.seq, last.seq, last.missed) == (0, 11, 10)
    assert last.captured_ns - first.captured_ns > 0.2e9


def test_damaged_frames_of_a_looped_film_are_counted_each_time(film, caplog):
    film.write_bytes(damaged(film.read_bytes(), [0, 5]))

    with VideoFile(film, paced=False, loop=True) as camera:
        frames = [camera.read() for _ in range(20)]

    assert [frame.seq for frame in frames] == [seq for seq in range(24) if seq % 12 not in (0, 5)]
    assert [frame.number for frame in frames] == [*range(20)]
    assert caplog.text.count("expected 12 frames") == 1


def test_whole_film_says_nothing(film, caplog):
    with VideoFile(film, paced=False) as camera:
        read_all(camera)

    assert caplog.text == ""


def test_damaged_film_ends_where_it_can_no_longer_be_read_and_says_so(film, caplog, capfd):
    six_frames_and_a_half = b"\xff\xd8".join(film.read_bytes().split(b"\xff\xd8")[:8])[:-100]
    film.write_bytes(six_frames_and_a_half)

    with VideoFile(film, paced=False) as camera:
        frames = read_all(camera)

    assert 6 <= len(frames) <= 7
    assert f"film.avi: expected 12 frames, as the file states, got {len(frames)}" in caplog.text
    assert capfd.readouterr().err == ""
