"""The log of a run: console, log.jsonl, TensorBoard, curves and sample sheets, all in the run's folder."""

import json
import time
from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor

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
        with ExitStack() as opened:
            columns = (
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
            )
            self._progress = opened.enter_context(Progress(*columns, disable=not self._plain.is_terminal))
            self._bar = self._progress.add_task("", total=self.config.steps, completed=self.start)
            try:
                self.config.out.mkdir(parents=True, exist_ok=True)
                self._file = opened.enter_context((self.config.out / "log.jsonl").open("a"))
            except OSError as err:
                raise TrainError(f"{self.config.out}: cannot write the log: {err.strerror or err}") from err
            self._board = _open_board(self.config, self.start)
            if self._board:
                opened.callback(self._board.close)
            else:
                self.say("no TensorBoard log and no curves: pip install 'catchlight\\[train]'")
            self._opened = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.quiet:
            return
        if self._board and kind is None:
            draw_curves(self.config.out / "log.jsonl")
        self._opened.close()

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
        self._write(line)
        self.say(
            "  ".join(f"{name} {value:.4g}" if name != "step" else f"step {value}" for name, value in line.items())
        )
        for name, number in line.items():
            if self._board and name != "step":
                self._board.add_scalar(name, number, step)

    def test(self, step: int, table: Table, grid: NDArray[np.uint8]) -> None:
        """Take note of a test on held-out faces: its scores, and a sheet of examples, BGR."""
        if self.quiet:
            return
        gains = {c: round(m["tier"]["psnr_rgb"] - m["bicubic"]["psnr_rgb"], 3) for c, m in table.items()}
        self._write({"step": step, "gain_db": gains, "test": table})
        write_sheet(self.config.out / f"sheet-{step:07d}.png", grid)
        shown = ", ".join(f"{c} {m['tier']['psnr_rgb']:.2f} ({gains[c]:+.2f})" for c, m in table.items())
        self.say(f"step {step}  test, RGB dB (over bicubic): {shown}")
        if self._board:
            for condition, methods in table.items():
                for name, score in methods["tier"].items():
                    self._board.add_scalar(f"test/{condition}/{name}", score, step)
            self._board.add_image("test/sheet", grid[..., ::-1], step, dataformats="HWC")
            draw_curves(self.config.out / "log.jsonl")

    def _write(self, line: Mapping[str, object]) -> None:
        try:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()
        except OSError as err:
            raise TrainError(f"{self._file.name}: cannot be written: {err.strerror or err}; free some space") from err


def _open_board(config: TrainConfig, start: int) -> Any:  # noqa: ANN401 - torch's SummaryWriter, where it is installed
    try:
        import matplotlib  # noqa: F401 - for the curves, which come with it
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(config.out / "tensorboard"), purge_step=start or None)
