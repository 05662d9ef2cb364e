"""The preview: one page for a browser on this machine, and /metrics for Prometheus.

An ordinary subscriber in a process of its own: it can stop, hang or die without the daemon noticing. The page asks for
each message and gets the newest there is, as the native wire's own bytes, over a WebSocket for each topic: a slow page
skips frames, a hidden one asks for none, and without a page the daemon sends nothing here but its status.

The stream is a person's face, and any web page may try to reach a port of this machine. So it binds loopback, answers
only to loopback's names (against DNS rebinding), and gives the stream only to a page of its own.
"""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from types import TracebackType
from typing import Any, Final, Self, cast

import psutil
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.sync.server import Server, ServerConnection, serve

from realtime import answers, wire
from realtime.client import Subscriber
from realtime.config import PreviewConfig
from realtime.errors import StreamError, StreamTimeout
from realtime.message import Status
from realtime.prometheus import exposition
from realtime.signals import stopping

ADDRESS: Final = "127.0.0.1"
MAX_STREAMS: Final = 24
"""WebSockets open at the same time; a page has three."""
_LOOK_S = 0.2
"""How long a wait lasts before the signals, and whether the page is still there, are looked at."""
_STALE_S = 5.0
"""Status comes once a second; one older than this says nothing about now."""
_OPEN_S = 2.0
"""Browsers connect before they have anything to ask, and the end waits for such a connection."""
_END_S = 5.0
_NICE = 5
"""The preview gives way to the daemon."""


class Preview:
    """Serves the page, the streams and the metrics while it is entered; raises StreamError for a port that is taken."""

    def __init__(self, config: PreviewConfig) -> None:
        self._config = config
        self._server: Server | None = None
        self._thread: threading.Thread | None = None
        self._hosts: frozenset[str] = frozenset()
        self._streams = threading.BoundedSemaphore(MAX_STREAMS)
        self._status: tuple[float, Status] | None = None
        self.url = ""
        """Where the page is, once entered."""

    def __enter__(self) -> Self:
        listening = _listen(self._config.port)
        port = listening.getsockname()[1]
        self._hosts = frozenset({f"{ADDRESS}:{port}", f"localhost:{port}"})
        self.url = f"http://{ADDRESS}:{port}/"
        self._server = serve(
            self._stream,
            sock=listening,
            compression=None,
            process_request=self._answer,
            server_header=None,
            max_size=16,
            ping_interval=None,
            open_timeout=_OPEN_S,
            close_timeout=1,
        )
        self._thread = threading.Thread(target=self._server.serve_forever, name="preview")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        assert self._thread is not None
        self._server.shutdown()
        self._thread.join()

    def update(self, status: Status) -> None:
        """Make this the newest status, for the metrics."""
        self._status = monotonic(), status

    def metrics(self) -> str:
        """The newest status as Prometheus text; when it is old, only that the daemon is not heard."""
        heard_s, status = self._status or (-_STALE_S, None)
        return exposition(None if status is None or monotonic() - heard_s > _STALE_S else status.values)

    def _answer(self, _connection: ServerConnection, request: Request) -> Response | None:
        """Every request comes here first; None lets it become a WebSocket."""
        host, origin = request.headers.get("Host"), request.headers.get("Origin")
        path = request.path.partition("?")[0]
        if host not in self._hosts:
            return answers.text(403, f"Host: expected {' or '.join(sorted(self._hosts))}\n")
        if path == "/":
            return answers.page()
        if path == "/metrics":
            return answers.text(200, self.metrics(), "text/plain; version=0.0.4; charset=utf-8")
        if path.removeprefix("/stream/") not in wire.TOPICS:
            return answers.text(404, "expected /, /metrics or /stream/ and a topic\n")
        if origin not in {f"http://{name}" for name in self._hosts}:
            return answers.text(403, "Origin: expected the preview's own page\n")
        return None

    def _stream(self, page: ServerConnection) -> None:
        """Send one topic's newest message for each text that the page sends; a thread for each WebSocket."""
        assert page.request is not None
        topic = page.request.path.partition("?")[0].removeprefix("/stream/")
        if not self._streams.acquire(blocking=False):
            page.close(1013, "too many pages")
            return
        try:
            with suppress(ConnectionClosed), self._subscriber(topic) as subscriber:
                for _ in page:
                    while (data := _newest(subscriber)) is None:
                        if page.state is not State.OPEN:
                            return
                    page.send(data)
        finally:
            self._streams.release()

    def _subscriber(self, topic: str) -> Subscriber[Any]:
        keys = self._config.keys
        return Subscriber(self._config.connect, cast(Any, topic), timeout_s=_LOOK_S, keys=keys)

    def listen(self) -> Iterator[None]:
        """Take in the daemon's status for the metrics, for ever; yields several times a second, to look at signals."""
        with self._subscriber("status") as subscriber:
            while True:
                with suppress(StreamTimeout):
                    self.update(subscriber.receive())
                yield


def preview(config: PreviewConfig) -> int:
    """Serve until a signal comes or the process config.end_with ends; returns the exit code.

    Raises StreamError for a port that is taken, or an endpoint or keys that cannot be used.
    """
    if hasattr(os, "nice"):
        os.nice(_NICE)
    with stopping() as stop, Preview(config) as serving:
        print(f"preview of {config.connect}: {serving.url}", flush=True)  # noqa: T201 - where to look
        for _ in serving.listen():
            if stop or (config.end_with is not None and not _runs(config.end_with)):
                return stop.exit_code
    raise AssertionError("listen() never ends")


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server((ADDRESS, port))
    except OSError as err:
        raise StreamError(
            f"preview {ADDRESS}:{port}: expected a free port, got: {err.strerror}; stop the other program or choose "
            "another port"
        ) from err


def _newest(subscriber: Subscriber[Any]) -> bytes | None:
    try:
        return subscriber.receive_bytes()
    except StreamTimeout:
        return None


def _runs(process: int) -> bool:
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextmanager
def beside(port: int, endpoint: str) -> Iterator[str]:
    """Run the preview of this process's stream in a process of its own while entered, and gives the page's address.

    endpoint: what the publisher is bound to. Raises StreamError for a port that is taken. Nobody waits for the preview
    or minds its end; it minds this process's.
    """
    _listen(port).close()
    connect = endpoint.replace("//0.0.0.0:", f"//{ADDRESS}:").replace("//[::]:", "//[::1]:")
    command = [sys.executable, "-m", "realtime", "preview", "--connect", connect, "--port", str(port)]
    with subprocess.Popen([*command, "--end-with", str(os.getpid())], stdout=subprocess.DEVNULL) as process:
        try:
            yield f"http://{ADDRESS}:{port}/"
        finally:
            process.terminate()
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                process.kill()
