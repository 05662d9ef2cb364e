import os
import struct
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from fakes import damaged, noise

from realtime.errors import CameraNotFound
from realtime.film import LONGEST_DAMAGE, Film

A_QUARTER_TO_THE_RIGHT = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 48 << 16, 0, 1 << 30)


def write(path, images, fourcc="MJPG"):
    height, width = images[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*fourcc), 25, (width, height))
    for image in images:
        writer.write(image)
    writer.release()
    return path


@pytest.fixture
def film(tmp_path):
    return write(tmp_path / "film.avi", [noise(number, (64, 48)) for number in range(12)])


def test_a_film_that_was_taken_upright_is_turned_upright(tmp_path):
    """As a phone says it: by a matrix in the track's header, 40 bytes behind its name."""
    image = np.zeros((48, 64, 3), np.uint8)
    image[:24, :32] = 255
    path = write(tmp_path / "phone.mp4", [image] * 3, "mp4v")
    data = path.read_bytes()
    matrix = data.index(b"tkhd") + 4 + 40
    path.write_bytes(data[:matrix] + A_QUARTER_TO_THE_RIGHT + data[matrix + 36 :])

    first = Film(path).first()

    assert first.shape == (64, 48, 3)
    assert first[:32, 24:].mean() > 200
    assert first[32:].mean() < 50
    assert first[:32, :24].mean() < 50


def test_damaged_frames_keep_their_numbers_and_times(film):
    film.write_bytes(damaged(film.read_bytes(), [2, 3]))

    opened, seen = Film(film), []
    while opened.grab():
        seen.append((opened.number, round(opened.time_s, 3), opened.damaged))

    assert seen[:4] == [(0, 0.0, 0), (1, 0.04, 0), (4, 0.16, 2), (5, 0.2, 2)]
    assert len(seen) == 10


def test_a_film_that_states_far_too_many_frames_ends(film):
    data = film.read_bytes()
    frames = data.index(b"avih") + 8 + 16
    of_the_stream = data.index(b"strh") + 8 + 32
    for place in (frames, of_the_stream):
        data = data[:place] + struct.pack("<I", 2_000_000_000) + data[place + 4 :]
    film.write_bytes(data)

    opened = Film(film)

    assert opened.length > LONGEST_DAMAGE
    assert len(list(iter(opened.grab, False))) == 12


def test_a_relative_name_with_a_colon_is_no_protocol(film, tmp_path, monkeypatch):
    film.rename(tmp_path / "2026-11-29T10:30:00.avi")
    monkeypatch.chdir(tmp_path)

    assert Film(Path("2026-11-29T10:30:00.avi")).first().shape == (48, 64, 3)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere every name is Unicode")
def test_a_name_that_is_not_utf8_is_refused(film):
    path = Path(os.fsdecode(os.fsencode(film.parent) + b"/caf\xe9.avi"))
    film.rename(path)

    with pytest.raises(CameraNotFound, match=r"caf\\udce9\.avi.*expected a name in UTF-8.*rename it"):
        Film(path)
