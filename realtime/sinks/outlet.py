"""Feeds one sink from a thread of its own, and tries again when it fails."""

import logging
import threading
from collections import deque
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

    Leaving hands over what still waits, if the sink is open, and joins the thread. Then .sent and .dropped together
    count every frame that was put.
    """

    def __init__(self, name: str, sink: Sink, *, first_retry_s: float = FIRST_RETRY_S) -> None:
        self.name, self._sink, self._first_retry_s = name, sink, first_retry_s
        self._waiting = deque[Any]()
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"sink {name}")
        self.state: State = "opening"
        self.reason = ""
        """Of the newest failure; empty while all is well."""
        self.sent = self.dropped = self.failures = 0

    def put(self, sent: Sent) -> None:
        """Hand a frame to the sink; the oldest that waits makes room for it."""
        item = self._sink.pick(sent)
        with self._changed:
            if self.state == "ended":
                self.dropped += 1
                return
            if len(self._waiting) == self._sink.queue:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append(item)
            self._changed.notify_all()

    def wait_for_room(self, timeout_s: float) -> bool:
        """Wait until put() drops nothing, where the sink is there and wants every frame; False after timeout_s."""
        with self._changed:
            return self._changed.wait_for(self._has_room, timeout_s)

    def _has_room(self) -> bool:
        return self._sink.queue == 1 or self.state in ("failed", "ended") or len(self._waiting) < self._sink.queue

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
        self._drop_waiting()

    def _run(self) -> None:
        retry_s = self._first_retry_s
        while not self._stopping.is_set():
            sent_before = self.sent
            try:
                with self._sink:
                    self._feed()
                return
            except SinkEnded as err:
                self._failed(err, "ended")
                self._drop_waiting()
                return
            except Exception as err:  # whatever a foreign library does, the native stream goes on, and this is told
                self._failed(err, "failed")
            retry_s = self._first_retry_s if self.sent > sent_before else min(2 * retry_s, LONGEST_RETRY_S)
            self._stopping.wait(retry_s)

    def _feed(self) -> None:
        self.state = "open"
        while True:
            with self._changed:
                if not self._changed.wait_for(lambda: self._waiting, _LOOK_S):
                    if self._stopping.is_set():
                        return
                    continue
                item = self._waiting.popleft()
                self._changed.notify_all()
            try:
                self._sink.send(item)
            except Exception:
                with self._changed:
                    self.dropped += 1
                raise
            self.sent += 1
            self.reason = ""

    def _failed(self, err: Exception, state: State) -> None:
        reason = " ".join(str(err).split()) or type(err).__name__
        if reason != self.reason:  # the same failure again is not news
            _log.warning("sink %s: %s", self.name, reason)
        with self._changed:
            self.state, self.failures, self.reason = state, self.failures + 1, reason
            self._changed.notify_all()

    def _drop_waiting(self) -> None:
        with self._changed:
            self.dropped += len(self._waiting)
            self._waiting.clear()
