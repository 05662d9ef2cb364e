"""Other programs' wires, fed beside the native stream: one file each, off by default.

A sink runs in a thread of its own (outlet.py) and gets what was just published. What fails there is reported, closed
and tried again, and the native stream never waits for it.
"""

from realtime.sinks.outlet import Outlet
from realtime.sinks.registry import SINKS, build_outlets
from realtime.sinks.sink import Sent, Sink

__all__ = ["SINKS", "Outlet", "Sent", "Sink", "build_outlets"]
