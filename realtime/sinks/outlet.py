"""Feeds one sink from a thread of its own, and tries again when it fails."""

import logging
import queue
import threading
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Literal, Self

from realtime.errors import SinkEnded
from realtime.sinks.sink import Sent, Sink

FIRST_RETRY_S: Final = 1.0
LONGEST_RETRY_S: Final = 30.0
"""The wait before the next try doubles up to this."""
_LOOK_S = 0.1  # how soon the end is seen

State = Literal["opening", "open", "failed", "ended"]
_log = logging.getLogger(__name__)


class Outlet:
    """A context manager; put() comes from one thread and never waits.

    Leaving hands over what still waits, if the sink is open, and joins the thread.
    """

    def __init__(self, name: str, sink: Sink, *, first_retry_s: float = FIRST_RETRY_S) -> None:
        self.name, self._sink, self._first_retry_s = name, sink, first_retry_s
        self._waiting: queue.Queue[Sent] = queue.Queue(sink.queue)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"sink {name}")
        self.state: State = "opening"
        self.reason = ""
        """Of the newest failure; empty while all is well."""
        self.sent = self.dropped = self.failures = 0

    def put(self, sent: Sent) -> None:
        """Hand a frame to the sink; the oldest that waits makes room for it."""
        while self.state != "ended":
            try:
                self._waiting.put_nowait(sent)
                return
            except queue.Full:
                with suppress(queue.Empty):
                    self._waiting.get_nowait()
                    self.dropped += 1

    def status(self) -> dict[str, Any]:
        """How it does, for the `status` topic."""
        return {
            "name": self.name,
            "state": self.state,
            "reason": self.reason[:1000],
            "sent": self.sent,
            "dropped": self.dropped,
            "failures": self.failures,
        }

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        retry_s = self._first_retry_s
        while not self._stopping.is_set():
            sent_before = self.sent
            try:
                with self._sink:
                    self._feed()
                return
            except SinkEnded as err:
                self._failed(err)
                self.state = "ended"
                return
            except Exception as err:  # whatever a foreign library does, the native stream goes on, and this is told
                self._failed(err)
            retry_s = self._first_retry_s if self.sent > sent_before else min(2 * retry_s, LONGEST_RETRY_S)
            self._stopping.wait(retry_s)

    def _feed(self) -> None:
        self.state = "open"
        while True:
            try:
                sent = self._waiting.get(timeout=_LOOK_S)
            except queue.Empty:
                if self._stopping.is_set():
                    return
                continue
            self._sink.send(sent)
            self.sent += 1
            self.reason = ""

    def _failed(self, err: Exception) -> None:
        self.state, self.failures = "failed", self.failures + 1
        reason = " ".join(str(err).split()) or type(err).__name__
        if reason != self.reason:  # the same failure again is not news
            _log.warning("sink %s: %s", self.name, reason)
        self.reason = reason
