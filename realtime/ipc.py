"""Whether an ipc endpoint's path may be bound: libzmq deletes whatever lies there, another program's socket too."""

import os
import socket
import stat
from typing import Final

from realtime.errors import StreamError

_PREFIX: Final = "ipc://"


def check_free(endpoint: str) -> None:
    """Raise StreamError for a path with a file, or with a socket that a program listens at; other endpoints pass.

    A socket that nobody listens at was left by a program that was killed, and may be deleted.
    """
    path = endpoint.removeprefix(_PREFIX)
    if path == endpoint:
        return
    try:
        mode = os.lstat(path).st_mode
    except OSError:  # nothing there, or what libzmq cannot delete either
        return
    if not stat.S_ISSOCK(mode):
        raise StreamError(f"{endpoint}: expected nothing there, got a file or a folder; choose another path")
    if _is_listened_at(path):
        raise StreamError(
            f"{endpoint}: expected a free path, got one in use; stop the other program or choose another path"
        )


def _is_listened_at(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(0)  # where a stopped program's queue is full, a connection would wait
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True
    return True
