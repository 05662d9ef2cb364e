"""The log of a run: console, log.jsonl, TensorBoard, curves and sample sheets, all in the run's folder."""

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor

from train.board import Board
from train.config import TrainConfig
from train.curves import draw_curves
from train.errors import TrainError
from train.evaluate import Table
from train.sheet import write_sheet


class RunLog:
    """Context manager; averages the terms of the steps between two lines. A quiet one does nothing.

    Raises TrainError when the folder does not take the log.
    """

    def __init__(self, config: TrainConfig, *, start: int, images: int, quiet: bool) -> None:
        self.config, self.start, self.images, self.quiet = config, start, images, quiet
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self._steps, self._step_s, self._since = 0, 0.0, time.perf_counter()
        self._plain = Console()

    def __enter__(self) -> Self:
        if self.quiet:
            return self
        with self._writing(), ExitStack() as opened:
            columns = (
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
            )
            self._progress = opened.enter_context(Progress(*columns, disable=not self._plain.is_terminal))
            self._bar = self._progress.add_task("", total=self.config.steps, completed=self.start)
            self.config.out.mkdir(parents=True, exist_ok=True)
            _drop_half_a_line(self.config.out / "log.jsonl")
            self._file = opened.enter_context((self.config.out / "log.jsonl").open("a"))
            self._board = _board(self.config, self.start)
            if self._board:
                opened.enter_context(self._board)
            else:
                self.say("no TensorBoard log and no curves: pip install 'catchlight\\[train]'")
            self._opened = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.quiet:
            return
        with self._writing(), self._opened:
            if self._board and kind is None:
                draw_curves(self.config.out / "log.jsonl")

    def say(self, text: str) -> None:
        """A line on the console, above the progress bar."""
        if not self.quiet:
            self._progress.console.print(text, soft_wrap=True, highlight=False)

    def step(self, step: int, rate: float, terms: dict[str, Tensor], seconds: float) -> None:
        """Take note of a step; writes a line every log_every steps."""
        if self.quiet:
            return
        self._progress.update(self._bar, completed=step)
        for name, value in terms.items():
            self._sums[name] = self._sums[name] + value.detach() if name in self._sums else value.detach()
            self._counts[name] = self._counts.get(name, 0) + 1
        self._steps, self._step_s = self._steps + 1, self._step_s + seconds
        if step % self.config.log_every:
            return
        now = time.perf_counter()
        line = {
            "step": step,
            "epoch": round(step * self.config.batch / self.images, 2),
            "learning_rate": rate,
            "images_per_s": round(self._steps * self.config.batch / (now - self._since), 1),
            "step_s": round(self._step_s / self._steps, 4),
        } | {name: round(float(total) / self._counts[name], 6) for name, total in self._sums.items()}
        self._sums, self._counts, self._steps, self._step_s, self._since = {}, {}, 0, 0.0, now
        with self._writing():
            self._write(line)
            for name, number in line.items():
                if self._board and name != "step":
                    self._board.scalar(name, number, step)
        self.say(
            "  ".join(f"{name} {value:.4g}" if name != "step" else f"step {value}" for name, value in line.items())
        )

    def test(self, step: int, table: Table, grid: NDArray[np.uint8]) -> None:
        """Take note of a test on held-out faces: its scores, and a sheet of examples, BGR."""
        if self.quiet:
            return
        gains = {c: round(m["tier"]["psnr_rgb"] - m["bicubic"]["psnr_rgb"], 3) for c, m in table.items()}
        shown = ", ".join(f"{c} {m['tier']['psnr_rgb']:.2f} ({gains[c]:+.2f})" for c, m in table.items())
        self.say(f"step {step}  test, RGB dB (over bicubic): {shown}")
        write_sheet(self.config.out / f"sheet-{step:07d}.png", grid)
        with self._writing():
            self._write({"step": step, "gain_db": gains, "test": table})
            if self._board:
                for condition, methods in table.items():
                    for name, score in methods["tier"].items():
                        self._board.scalar(f"test/{condition}/{name}", score, step)
                        self._board.scalar(f"test/{condition}/{name}/bicubic", methods["bicubic"][name], step)
                self._board.image("test/sheet", grid, step)
                draw_curves(self.config.out / "log.jsonl")

    def _write(self, line: Mapping[str, object]) -> None:
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as err:
            raise TrainError(
                f"{self.config.out}: cannot write the log: {err.strerror or err}; free some space and go on, or choose "
                "another --out"
            ) from err


def _drop_half_a_line(path: Path) -> None:
    """What a full disk left of the last line, or the next one would be joined to it."""
    if path.exists():
        os.truncate(path, path.read_bytes().rfind(b"\n") + 1)


def _board(config: TrainConfig, start: int) -> Board | None:
    try:
        import matplotlib  # noqa: F401 - for the curves, which come with it

        return Board(config.out / "tensorboard", start)
    except ImportError:
        return None
