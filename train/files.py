"""Files that appear whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from train.errors import TrainError


@contextmanager
def whole_file(path: Path, advice: str = "free some space or choose another place") -> Iterator[IO[bytes]]:
    """A file to write; it takes path's place when the block ends, and an error leaves what was there.

    Raises TrainError: the disk or the folder does not take it.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except (OSError, RuntimeError) as err:  # torch.save wraps the one in the other
        raise TrainError(f"{path}: cannot be written: {str(err).splitlines()[0]}; {advice}") from err
    finally:
        with suppress(OSError):
            temporary.unlink()
