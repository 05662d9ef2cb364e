import multiprocessing
import signal
import stat
import subprocess
import sys
import time
from dataclasses import replace

import cv2
import numpy as np
import pytest
from fakes import damaged, noise
from PIL import Image

from realtime.__main__ import main
from realtime.config import CropConfig, EngineChoice, EnhanceConfig
from realtime.demo import DemoCamera
from realtime.errors import CameraNotFound
from realtime.offline import Video, enhance_videos, wait_for_any
from realtime.recording import Recording

FRAMES, A_PART = 50, 20
KILLED = """
import sys
from pathlib import Path
from realtime.config import EngineChoice, EnhanceConfig
from realtime.offline import enhance_videos
if __name__ == "__main__":
    config = EnhanceConfig(
        videos=(Path(sys.argv[1]),), out=Path(sys.argv[2]), processes=1, engine=EngineChoice(engine="bicubic")
    )
    enhance_videos(config, frames_a_part=20)
"""


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A film of the demo, 50 frames."""
    path, camera = tmp_path_factory.mktemp("clip") / "demo.avi", DemoCamera(width=320, height=240, paced=False)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (320, 240))
    for seq in range(FRAMES):
        writer.write(camera.image(seq))
    writer.release()
    return path


@pytest.fixture
def config(clip, tmp_path):
    return EnhanceConfig(videos=(clip,), out=tmp_path / "out", processes=1, engine=EngineChoice(engine="bicubic"))


@pytest.fixture(scope="module")
def unbroken(clip, tmp_path_factory):
    """All messages of a run that nothing disturbed, with two processes."""
    out = tmp_path_factory.mktemp("unbroken")
    config = EnhanceConfig(videos=(clip,), out=out, processes=2, engine=EngineChoice(engine="bicubic"))
    assert enhance_videos(config, frames_a_part=A_PART) == 0
    return Recording(out / "demo")


def test_every_frame_is_in_the_recording_with_its_time_in_the_video(unbroken):
    messages = list(unbroken.messages())

    assert [message.seq for message in messages] == list(range(FRAMES))
    assert [message.captured_ns for message in messages] == [seq * 40_000_000 for seq in range(FRAMES)]
    assert all(message.face_found for message in messages)
    assert {message.ts_source for message in messages} == {"video"}
    assert [row["seq"] for row in unbroken.rows()] == list(range(FRAMES))


def test_a_new_folder_of_faces_is_its_owners_alone(unbroken):
    assert stat.S_IMODE(unbroken.folder.stat().st_mode) == 0o700


def test_the_irises_are_where_the_film_has_them(unbroken):
    camera = DemoCamera(width=320, height=240, paced=False)

    errors = [np.hypot(*(m.landmarks.iris_centre - camera.true_eyes(m.seq)).T).max() for m in unbroken.messages()]

    assert np.median(errors) < 1.5


def test_a_run_that_was_killed_goes_on_and_ends_as_an_unbroken_one(config, unbroken, tmp_path):
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    first = config.out / "demo" / "00000.messages"
    with subprocess.Popen([sys.executable, str(script), str(config.videos[0]), str(config.out)]) as process:
        while not first.exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    made_ns = first.stat().st_mtime_ns

    assert enhance_videos(config, frames_a_part=A_PART) == 0

    assert first.stat().st_mtime_ns == made_ns
    assert list(Recording(config.out / "demo")) == list(unbroken)
    assert not list((config.out / "demo").glob(".*"))


def test_other_settings_do_not_mix_with_what_is_there(config):
    folder = config.out / "demo"
    folder.mkdir(parents=True)
    (folder / "enhance.json").write_text('{"video": "demo.avi", "engine": "native"}')

    with pytest.raises(ValueError, match=r"engine bicubic instead of native.*choose another --out"):
        enhance_videos(config)


def test_two_videos_of_one_name_are_refused(config):
    with pytest.raises(ValueError, match="a different name for each"):
        enhance_videos(replace(config, videos=config.videos * 2))


def test_what_is_no_video_is_named(config, tmp_path):
    path = tmp_path / "text.avi"
    path.write_text("no video")

    with pytest.raises(CameraNotFound, match=rf"text\.avi: expected a video, .* try `ffprobe {path}`"):
        enhance_videos(replace(config, videos=(path,)))


def test_windows_that_no_message_holds_are_left_out(config):
    """At scale 4, of which bicubic enlarges; the eyes of the clip would take the larger size."""
    crops = CropConfig(ladder=((16, 16), (640, 480)))
    engine = EngineChoice(engine="bicubic", tier="medium3-x4")

    assert enhance_videos(replace(config, crops=crops, engine=engine)) == 0

    assert {message.raw.shape for message in Recording(config.out / "demo").messages()} == {(2, 16, 16, 3)}


def test_the_command_line_refuses_a_missing_file(tmp_path, capsys):
    assert main(["enhance", str(tmp_path / "none.mp4"), "--out", str(tmp_path), "--engine", "bicubic"]) == 3
    assert "none.mp4: expected a video" in capsys.readouterr().err


def test_stretches_of_a_video_have_the_right_frames_in_any_order(clip):
    whole = {frame.seq: frame.image for frame in Video(clip).stretch(0, None)}
    video = Video(clip)

    for first, end in [(0, 20), (5, 25), (20, 21), (40, None), (0, 3), (48, 49), (35, 37), (30, 30)]:
        stretch = list(video.stretch(first, end))

        assert [frame.seq for frame in stretch] == list(range(first, FRAMES if end is None else end))
        for frame in stretch:
            np.testing.assert_array_equal(frame.image, whole[frame.seq])


@pytest.fixture
def damaged_clip(clip, tmp_path):
    """The clip, of which frames 18 to 20 cannot be read."""
    path = tmp_path / "demo.avi"
    path.write_bytes(damaged(clip.read_bytes(), range(18, 21)))
    return path


def test_stretches_of_a_damaged_video_lose_no_whole_frame(damaged_clip):
    video, there = Video(damaged_clip), [seq for seq in range(FRAMES) if seq not in (18, 19, 20)]

    for first, end in [(0, 20), (5, 25), (19, 40), (18, 21), (21, 22), (0, None), (20, 30)]:
        seen = [frame.seq for frame in video.stretch(first, end)]

        assert seen == [seq for seq in there if seq >= first and (end is None or seq < end)]


def test_frames_that_a_damaged_video_lacks_are_said_on_every_run(config, damaged_clip, capfd):
    config = replace(config, videos=(damaged_clip,))

    for _ in range(2):
        assert enhance_videos(config, frames_a_part=A_PART) == 0

        said = " ".join(capfd.readouterr().err.split())
        assert f"{config.out}: 47 frames of 1 videos" in said
        assert "demo.avi: expected 50 frames, as the file states, got 47" in said
    assert [message.seq for message in Recording(config.out / "demo").messages()] == [*range(18), *range(21, 50)]


def test_frames_of_a_whole_video_are_counted_once_with_the_face_too(config, capfd):
    config = replace(config, crops=CropConfig(face=True))

    for _ in range(2):
        enhance_videos(config, frames_a_part=A_PART)

        assert capfd.readouterr().err == f"{config.out}: 50 frames of 1 videos\n"


def test_times_are_those_of_a_video_whose_rate_changes(tmp_path):
    path = tmp_path / "pages.gif"
    pages = [Image.fromarray(noise(number, (32, 32))) for number in range(6)]
    pages[0].save(path, save_all=True, append_images=pages[1:], duration=[30, 30, 30, 300, 300, 300])

    times_ms = [frame.captured_ns / 1e6 for frame in Video(path).stretch(0, None)]

    assert times_ms == [0, 30, 60, 90, 390, 690]


def test_the_wait_for_processes_is_one_although_the_first_has_ended():
    processes = [multiprocessing.get_context("spawn").Process(target=time.sleep, args=(s,)) for s in (0, 1.5)]
    for process in processes:
        process.start()
    processes[0].join()

    turns = 0
    while wait_for_any(processes, 0.3):
        turns += 1

    assert not processes[1].is_alive()
    assert turns <= 30  # of 0.3 s, while the other one starts, sleeps and ends; thousands without waiting
