"""How a benchmark ends when it cannot go on: one line that says why, and no traceback but for our own mistakes.

Exit codes: 2 what was asked for cannot be measured, 130 after Ctrl-C.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engines import EngineError
from realtime import RealtimeError
from train.errors import TrainError


@contextmanager
def in_one_line() -> Iterator[None]:
    """Within, the project's errors and the system's end the process with a line on stderr, and Ctrl-C with none."""
    try:
        yield
    except (EngineError, RealtimeError, TrainError, ValueError, OSError) as err:
        print(f"{Path(sys.argv[0]).stem}: {' '.join(str(err).split())}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
