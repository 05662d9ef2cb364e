"""What a person sees while the daemon runs: a few lines at the start, then one that lives, if it is a terminal."""

from contextlib import suppress
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


class Display:
    """Writes to standard error; as a context manager it restores the terminal. A terminal may go away: no error."""

    def __init__(self, console: Console | None = None, *, total: int | None = None) -> None:
        """total: frames of a finite source that is worked off as fast as possible; gives a progress bar."""
        self._console = console or Console(stderr=True, highlight=False, soft_wrap=True)
        self._live: Live | Progress | None = None
        self._task: TaskID | None = None
        if self._console.is_terminal and total is not None:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._live = Progress(*columns, console=self._console, auto_refresh=False)
            self._task = self._live.add_task("enhancing", total=total)
        elif self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)

    def say(self, line: str) -> None:
        """Print a line that stays."""
        try:
            self._console.print(line, markup=False)
        except OSError:
            self._leave()

    def update(self, line: str, done: int) -> None:
        """Show the line in place of the last one; done: frames worked off so far. Nothing without a terminal."""
        try:
            if isinstance(self._live, Progress) and self._task is not None:
                self._live.update(self._task, completed=done, description=line, refresh=True)
            elif isinstance(self._live, Live):
                self._live.update(line, refresh=True)
        except OSError:
            self._leave()

    def _leave(self) -> None:
        """Leave the terminal as it was, if it is still there: after SIGHUP, or under nohup, it is not."""
        live, self._live = self._live, None
        if live is not None:
            with suppress(OSError):
                live.stop()

    def __enter__(self) -> Self:
        if self._live is not None:
            try:
                self._live.start()
            except OSError:
                self._leave()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()
