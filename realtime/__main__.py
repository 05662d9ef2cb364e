"""The command line: `catchlight` or `python -m realtime`.

Exit codes:
  0    ended as asked: the source ended, the time or the count was reached
  1    something else went wrong, such as a report that cannot be written
  2    the command line or the configuration cannot be used
  3    the camera, file or stream cannot be opened, or was lost
  4    the engine or its weights cannot be used, or failed
  5    the stream cannot be published or received, or nothing came
  128 + N  ended by signal N, cleanly: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP
"""

import sys
from collections.abc import Sequence

from realtime.signals import ending_at_once


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the arguments, by default the process's, and do what they say; returns the exit code."""
    with ending_at_once():
        from realtime.commands import command  # takes a moment, in which Ctrl-C may come

        return command(arguments)


if __name__ == "__main__":
    sys.exit(main())
