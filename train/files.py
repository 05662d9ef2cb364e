"""Files that appear whole or not at all, in folders that are made for them; and the one that lies beside a folder."""

import os
from pathlib import Path

from engines import files
from train.errors import TrainError


def beside(folder: Path) -> Path:
    """FOLDER.json, of all that the folder's name is, dots too; "." has a name, and a link keeps its own."""
    return Path(f"{os.path.abspath(folder)}.json")


def write_whole(path: Path, data: bytes, advice: str = "free some space or choose another place") -> None:
    """Write a file and the folders that it lies in; an error leaves what was there.

    Raises TrainError, which ends in the advice: the disk or the folder does not take it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_whole(path, data)
    except OSError as err:
        raise TrainError(f"{path}: cannot be written: {err.strerror or err}; {advice}") from err
