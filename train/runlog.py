"""The log of a run: console, JSON lines."""

import json
import time
from collections.abc import Mapping
from types import TracebackType
from typing import IO, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor

from engines.swinir import SwinIR
from train.config import TrainConfig
from train.evaluate import Table


class RunLog:
    """Context manager; averages the terms of the steps between two lines."""

    def __init__(self, config: TrainConfig, *, start: int, images: int, quiet: bool) -> None:
        self.config, self.start, self.images, self.quiet = config, start, images, quiet
        self._sums: dict[str, float] = {}
        self._count, self._since = 0, time.perf_counter()

    def __enter__(self) -> Self:
        console = Console()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=self.quiet or not console.is_terminal,
        )
        self._progress.start()
        self._bar = self._progress.add_task("training", total=self.config.steps, completed=self.start)
        self._file: IO[str] | None = None
        if not self.quiet:
            self.config.out.mkdir(parents=True, exist_ok=True)
            self._file = (self.config.out / "log.jsonl").open("a")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()
        if self._file:
            self._file.close()

    def step(self, step: int, rate: float, terms: dict[str, Tensor], seconds: float) -> None:
        """Take note of a step; writes a line every log_every steps."""
        self._progress.update(self._bar, completed=step)
        for name, value in terms.items():
            self._sums[name] = self._sums.get(name, 0.0) + float(value.detach())
        self._sums["step_s"] = self._sums.get("step_s", 0.0) + seconds
        self._count += 1
        if step % self.config.log_every:
            return
        now = time.perf_counter()
        line = {
            "step": step,
            "epoch": round(step * self.config.batch / self.images, 2),
            "learning_rate": rate,
            "images_per_s": round(self._count * self.config.batch / (now - self._since), 1),
        } | {name: round(total / self._count, 5) for name, total in self._sums.items()}
        self._sums, self._count, self._since = {}, 0, now
        self._write(line)

    def test(self, step: int, table: Table, model: SwinIR) -> None:
        """Take note of a test on held-out faces."""
        gains = {c: round(m["tier"]["psnr_rgb"] - m["bicubic"]["psnr_rgb"], 3) for c, m in table.items()}
        self._write({"step": step, "gain_db": gains, "test": table})

    def _write(self, line: Mapping[str, object]) -> None:
        if self._file:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()
            self._progress.console.print(" ".join(f"{k}={v}" for k, v in line.items() if k != "test"), soft_wrap=True)
