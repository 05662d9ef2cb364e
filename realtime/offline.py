"""The `enhance` command: every frame of recorded videos, into folders that `replay` and pandas read.

A video is cut into parts of some hundred frames, each worked off by itself: the face mesh, the windows and a network of
several frames begin afresh WARM_UP_FRAMES before it. So a part comes out the same whichever process makes it and
whenever, parts that are there need not be made again, and a run that was ended in any way is taken up where it was.

    FOLDER/VIDEO/enhance.json      what the parts were made of and with
    FOLDER/VIDEO/00000.messages    a recording (recording.py), a part for each part of the video

In its messages captured_ns and sent_ns are the time in the video, ts_source is "video", captured_utc_ns is 0 and
there are no stamps of stages.
"""

import json
import multiprocessing
import signal
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from engines import BicubicEngine, Engine, EngineError, load_engine
from engines.cores import available_cores
from realtime.bypass import Bypass
from realtime.config import CropConfig, EngineChoice, EnhanceConfig
from realtime.crops import Cropper
from realtime.display import Display
from realtime.errors import RealtimeError, RecordingError
from realtime.film import Film, shortfall
from realtime.frames import Enhanced, Frame
from realtime.landmarks import FaceMesh
from realtime.pipeline import locate, sharpen
from realtime.recorder import Part
from realtime.recording import jsonl_path, messages_path
from realtime.signals import stopping
from realtime.wire import encode, fitting, stamp

PART_FRAMES: Final = 600
WARM_UP_FRAMES: Final = 15
_SPAWN: Final = multiprocessing.get_context("spawn")  # a fork would copy the threads' locks


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One video, and where it goes."""

    video: Path
    folder: Path
    frames: int
    """As the file states; its last part goes on to the true end."""
    topics: tuple[str, ...]
    """Messages of each frame."""
    stream: str
    frames_a_part: int

    def parts(self) -> range:
        """The numbers of its parts."""
        return range(max(1, -(-self.frames // self.frames_a_part)))

    def is_done(self, part: int) -> bool:
        """Whether a part is there, whole."""
        return messages_path(self.folder, part).exists() and jsonl_path(self.folder, part).exists()

    def frames_done(self) -> int:
        """How many frames are in the parts that are there."""
        lines = 0
        for part in filter(self.is_done, self.parts()):
            with jsonl_path(self.folder, part).open("rb") as file:
                lines += sum(1 for _ in file)
        return lines // len(self.topics)


class Shared:
    """What the processes of a run have in common."""

    def __init__(self) -> None:
        self.stop = _SPAWN.Event()
        self.taken = _SPAWN.Value("q", 0)
        """Parts that someone has begun."""
        self.frames = _SPAWN.Value("q", 0)
        """Frames done."""
        self.errors: SimpleQueue[RealtimeError | EngineError] = _SPAWN.SimpleQueue()


def enhance_videos(config: EnhanceConfig, *, frames_a_part: int = PART_FRAMES) -> int:
    """Enhance every frame of every video until all is done or a signal comes; returns the exit code.

    frames_a_part: what an interrupted run loses at most, for each process.
    Raises CameraNotFound for a video that cannot be read, ValueError for a folder that was made with other settings or
    windows that no message can hold, EngineError, and RecordingError when the disk is full; what is done stays, and the
    next run goes on from there.
    """
    cores = available_cores()
    processes = config.processes or max(1, cores // 2)
    choice = replace(config.engine, threads=config.engine.threads or max(1, cores // processes))
    with load_engine(choice.engine, choice.tier, threads=choice.threads) as engine:
        choice = replace(choice, engine=engine.name)
        crops = fitting(config.crops, engine.scale)
        jobs = [_job(video, config, engine, frames_a_part) for video in config.videos]
    if len({job.folder for job in jobs}) < len(jobs):
        raise ValueError("videos: expected a different name for each, got one twice; give each its own --out")
    tasks = [(job, part) for job in jobs for part in job.parts() if not job.is_done(part)]
    done = sum(job.frames_done() for job in jobs)
    shared = Shared()
    arguments = (tasks, choice, crops, shared)
    workers = [_SPAWN.Process(target=work, args=arguments) for _ in range(min(processes, len(tasks)))]
    with stopping() as stop, Display(total=sum(job.frames for job in jobs)) as display:
        try:
            for worker in workers:
                worker.start()
            while not stop and wait_for_any(workers, 0.2):
                display.update(f"{engine.name} {engine.tier}", done + shared.frames.value)
                _raise_failure(workers, shared)
        finally:
            shared.stop.set()
            for worker in workers:
                if worker.pid is not None:
                    worker.join()
        _raise_failure(workers, shared)
        left = sum(not job.is_done(part) for job, part in tasks)
        frames_done = [job.frames_done() for job in jobs]
        display.say(
            f"{config.out}: {sum(frames_done)} frames of {len(jobs)} videos"
            + (f", {left} parts left; the same command goes on from here" if left else "")
        )
        for job, frames in zip(jobs, frames_done, strict=True):
            if not left and (said := shortfall(str(job.video), job.frames, frames)) is not None:
                display.say(said)
    return stop.exit_code


def wait_for_any(workers: list[SpawnProcess], timeout_s: float) -> bool:
    """Wait until one that works ends or the time is up; False, at once, when none works any more."""
    working = {worker.sentinel: worker for worker in workers if worker.is_alive()}
    if working:
        for ended in wait(list(working), timeout_s):
            working[cast(int, ended)].join()
    return bool(working)


def work(tasks: list[tuple[Job, int]], choice: EngineChoice, crops: CropConfig, shared: Shared) -> None:
    """One process of a run: take the next part until there is none."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; the first one tells the others
    parent = multiprocessing.parent_process()
    video: Video | None = None
    try:
        with load_engine(choice.engine, choice.tier, threads=choice.threads) as engine:
            while not shared.stop.is_set():
                with shared.taken.get_lock():
                    index, shared.taken.value = shared.taken.value, shared.taken.value + 1
                if index >= len(tasks):
                    return
                job, part = tasks[index]
                if video is None or video.path != job.video:
                    video = Video(job.video)
                frames = enhanced_part(video, job, part, engine, choice, crops)
                with PartFiles(job.folder, part) as files:
                    for enhanced in frames:
                        for topic in job.topics:
                            files.write(_message(enhanced, topic, job.stream))
                        with shared.frames.get_lock():
                            shared.frames.value += 1
                        if shared.stop.is_set() or (parent is not None and not parent.is_alive()):
                            return
                    files.keep()
    except (RealtimeError, EngineError) as err:
        shared.errors.put(err)


def enhanced_part(
    video: "Video", job: Job, part: int, engine: Engine, choice: EngineChoice, crops: CropConfig
) -> Iterator[Enhanced]:
    """One part's frames, enhanced; the last part has all that are left."""
    first = part * job.frames_a_part
    end = None if part == job.parts()[-1] else first + job.frames_a_part
    bypass = None
    if choice.bypass == "auto":
        bypass = Bypass(BicubicEngine(scale=engine.scale, frames=engine.frames))
    with FaceMesh() as face_mesh:
        frames = video.stretch(max(0, first - WARM_UP_FRAMES), end)
        located = locate(frames, face_mesh, Cropper(crops, frames=engine.frames))
        yield from sharpen((item for item in located if item[0].frame.seq >= first), engine, bypass)


class Video:
    """A video's frames, read forwards: going back a little is cheap, further back means from the start."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open()

    def _open(self) -> None:
        self._film = Film(self.path)
        self._recent: deque[Frame] = deque(maxlen=WARM_UP_FRAMES)

    def stretch(self, first: int, end: int | None) -> Iterator[Frame]:
        """The frames from the first to before the end, with their time in the video; damaged ones are left out.

        They are counted by reading them all: seeking is off by some frames in many formats.
        """
        if first < (self._recent[0].seq if self._recent else self._film.number + 1):
            self._film.close()
            self._open()
        yield from [frame for frame in self._recent if frame.seq >= first and (end is None or frame.seq < end)]
        # Behind damaged ones the film may be at a frame beyond the end: that one is kept for the next stretch.
        while (end is None or self._film.number < end - 1) and self._film.grab():
            seq = self._film.number
            if seq < first:
                self._recent.clear()
            elif (image := self._film.unpack()) is not None:
                self._recent.append(_frame(seq, image, self._film.time_s))
                if end is None or seq < end:
                    yield self._recent[-1]


class PartFiles:
    """A part being made, under another name until it is kept; a context manager that removes what was not."""

    def __init__(self, folder: Path, part: int) -> None:
        self._final = (jsonl_path(folder, part), messages_path(folder, part))
        jsonl, messages = (path.with_name(f".{path.name}.unfinished") for path in self._final)
        self._unfinished = (jsonl, messages)
        self._part = Part(messages, jsonl, part)
        self._stack = ExitStack()

    def __enter__(self) -> "PartFiles":
        self._remove()  # of a run that was killed
        self._stack.enter_context(self._part)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        self._remove()

    def write(self, data: bytearray) -> None:
        """Append a message."""
        self._part.write(data)

    def keep(self) -> None:
        """The part is whole: give it its name. The messages come last, since they say that it is done."""
        self._stack.close()
        for unfinished, final in zip(self._unfinished, self._final, strict=True):
            unfinished.replace(final)

    def _remove(self) -> None:
        for path in self._unfinished:
            path.unlink(missing_ok=True)


def _job(video: Path, config: EnhanceConfig, engine: Engine, frames_a_part: int) -> Job:
    film = Film(video)
    film.first()
    film.close()
    folder = config.out / video.stem
    made_of = {
        "video": video.name,
        "video_bytes": video.stat().st_size,
        "engine": engine.name,
        "tier": engine.tier,
        "model_sha256": engine.sha256,
        "bypass": config.engine.bypass,
        "crops": json.loads(json.dumps(asdict(config.crops))),
        "frames_a_part": frames_a_part,
        "warm_up_frames": WARM_UP_FRAMES,
    }
    _check_same(folder, made_of)
    stream = sha256(json.dumps(made_of).encode()).hexdigest()[:16]
    return Job(
        video=video,
        folder=folder,
        frames=film.length or 0,
        topics=("eyes", "face") if config.crops.face else ("eyes",),
        stream=stream,
        frames_a_part=frames_a_part,
    )


def _check_same(folder: Path, made_of: dict[str, Any]) -> None:
    path = folder / "enhance.json"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            path.write_text(json.dumps(made_of, indent=1) + "\n")
        before = json.loads(path.read_text())
    except (OSError, ValueError) as err:
        raise RecordingError(f"{path}: expected to write and read it, got: {err}; choose another --out") from err
    changed = [key for key in made_of if before.get(key) != made_of[key]]
    if changed:
        got = ", ".join(f"{key} {made_of[key]} instead of {before.get(key)}" for key in changed)
        raise ValueError(f"{folder}: expected to go on with what is there, got {got}; choose another --out")


def _frame(seq: int, image: NDArray[np.uint8], time_s: float) -> Frame:
    return Frame(seq=seq, captured_ns=round(time_s * 1e9), captured_utc_ns=0, ts_source="video", image=image)


def _message(enhanced: Enhanced, topic: Any, stream: str) -> bytearray:  # noqa: ANN401 - one of two literals
    message = encode(replace(enhanced, stamps_ns={}), topic=topic, stream=stream)
    frame = enhanced.crops.frame
    stamp(message, sent_ns=frame.captured_ns, sent_seq=frame.seq)
    return message


def _raise_failure(workers: list[SpawnProcess], shared: Shared) -> None:
    if not shared.errors.empty():
        raise shared.errors.get()
    for worker in workers:
        if worker.exitcode:
            raise RealtimeError(
                f"enhance: expected process {worker.pid} to finish, got exit code {worker.exitcode}; run the same "
                "command again to go on"
            )
