"""The JSON document that a benchmark leaves: on the disk after every section, and at the end the last line for all."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from engines.files import write_whole


class Document(dict[str, Any]):
    """What was measured so far, as a context manager; "complete" is true once it has ended without an error.

    Whatever ends it, Ctrl-C too, what was measured is printed as one line, and lies in the file where there is one.
    """

    def __init__(self, path: Path | None, facts: Mapping[str, Any]) -> None:
        """path: the file; None: printed only. facts: its first keys. Raises ValueError where the path takes no file."""
        if path is not None:
            check_place(path)
        super().__init__(complete=False, **facts)
        self._path, self._measured = path, False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self["complete"] = kind is None
        if self._measured or self["complete"]:
            try:
                self._save()
            finally:
                print(json.dumps(self))

    def add(self, **sections: Any) -> None:  # noqa: ANN401 - whatever JSON holds
        """Put sections in, in the place of those of the same names. Raises OSError when the disk does not take them."""
        self.update(sections)
        self._measured = True
        self._save()

    def extend(self, **lists: list[Any]) -> None:
        """Put rows at the ends of lists, which begin here where there are none. Raises OSError as add() does."""
        self.add(**{name: [*self.get(name, []), *rows] for name, rows in lists.items()})

    def _save(self) -> None:
        if self._path is not None:
            write_whole(self._path, (json.dumps(self, indent=1) + "\n").encode())


def check_place(path: Path) -> None:
    """Raises ValueError where no file can be written: found out before an hour of measuring and not after it."""
    if path.is_dir():
        raise ValueError(f"{path}: expected a file's path, got a folder; add a name to it")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as err:
        raise ValueError(
            f"{path}: cannot be written: {err.strerror or err}; expected a folder that is there and takes files"
        ) from err


def check_png(path: Path) -> None:
    """Raises ValueError for a picture's path that is not a PNG's, or where no file can be written."""
    if path.suffix.lower() != ".png":
        raise ValueError(f"{path}: expected a name that ends in .png")
    check_place(path)
