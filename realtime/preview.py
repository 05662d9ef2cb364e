"""The preview: one page for a browser on this machine, and /metrics for Prometheus.

An ordinary subscriber in a process of its own: it can stop, hang or die without the daemon noticing. The page asks for
each message and gets the newest there is, as the native wire's own bytes, over a WebSocket for each topic: a slow page
skips frames, a hidden one asks for none, and without a page the daemon sends nothing here but its status.

The stream is a person's face, and any web page may try to reach a port of this machine. So it binds loopback, answers
only to loopback's names (against DNS rebinding), and gives the stream only to a page of its own. That stops web pages,
not other accounts' programs. So where these cannot read the stream itself (it needs keys, or goes over ipc, whose
folder may be private), page and stream need the random key of the address that is printed. Over plain TCP the key would
protect nothing, and the address is one to remember. /metrics shows no face and is always open.
"""

import hmac
import os
import secrets
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
_FAREWELL_S = 1.5
"""What the end leaves pages to say goodbye, before they are hung up."""
_END_S = 5.0
_NICE = 5
"""The preview gives way to the daemon."""


class Preview:
    """Serves the page, the streams and the metrics while it is entered; raises StreamError for a port that is taken."""

    def __init__(self, config: PreviewConfig, *, key: str = "") -> None:
        """key: what page and stream ask for; empty: anyone on this machine may have them."""
        self._config, self._query = config, _query(key)
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
        self._hosts = names(port)
        self.url = f"http://{ADDRESS}:{port}/{self._query}"
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
        ending = threading.Thread(target=self._server.shutdown, name="preview's end")
        ending.start()
        ending.join(_FAREWELL_S)
        while ending.is_alive():  # a send to a page that reads nothing never returns by itself
            self._hang_up(self._server)
            ending.join(_LOOK_S)
        self._thread.join()

    @staticmethod
    def _hang_up(server: Server) -> None:
        with server.lock:
            connections = tuple(server.all_connections)
        for connection in connections:
            with suppress(OSError):
                connection.socket.shutdown(socket.SHUT_RDWR)

    def update(self, status: Status) -> None:
        """Make this the newest status, for the metrics."""
        self._status = monotonic(), status

    def metrics(self) -> str:
        """The newest status as Prometheus text; when it is old, only that the daemon is not heard."""
        heard_s, status = self._status or (-_STALE_S, None)
        return exposition(None if status is None or monotonic() - heard_s > _STALE_S else status.values)

    def _answer(self, _connection: ServerConnection, request: Request) -> Response | None:
        """Every request comes here first; None lets it become a WebSocket."""
        hosts, origins = request.headers.get_all("Host"), request.headers.get_all("Origin")
        path, _, query = request.path.partition("?")
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            return answers.text(403, f"Host: expected {' or '.join(sorted(self._hosts))}\n")
        if path == "/metrics":
            return answers.text(200, self.metrics(), "text/plain; version=0.0.4; charset=utf-8")
        if path != "/" and path.removeprefix("/stream/") not in wire.TOPICS:
            return answers.text(404, "expected /, /metrics or /stream/ and a topic\n")
        if self._query and not hmac.compare_digest(f"?{query}", self._query):
            return answers.text(403, "key: expected the whole address that catchlight printed, with its ?key=...\n")
        if path == "/":
            return answers.page()
        if len(origins) != 1 or origins[0] not in {f"http://{name}" for name in self._hosts}:
            return answers.text(403, "Origin: expected the preview's own page\n")
        return None

    def _stream(self, page: ServerConnection) -> None:
        """Send one topic's newest message for each text that the page sends; a thread for each WebSocket."""
        assert page.request is not None
        topic = page.request.path.partition("?")[0].removeprefix("/stream/")
        if not self._streams.acquire(blocking=False):
            page.close(1013, "too many pages are open")
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
    key = sys.stdin.readline().strip() if config.key_on_stdin else new_key(config)
    with stopping() as stop, Preview(config, key=key) as serving:
        print(f"preview of {config.connect}: {serving.url}", flush=True)  # noqa: T201 - where to look
        for _ in serving.listen():
            if stop or (config.end_with is not None and not _runs(config.end_with)):
                return stop.exit_code
    raise AssertionError("listen() never ends")


def new_key(config: PreviewConfig) -> str:
    """What the page of this stream shall ask for: nothing where every account of this machine reads the stream."""
    is_open = config.keys is None and config.connect.startswith("tcp://")
    return "" if is_open else secrets.token_urlsafe(16)


def names(port: int) -> frozenset[str]:
    """What a browser may call this server by; it leaves out HTTP's own port."""
    hosts = (ADDRESS, "localhost")
    return frozenset(f"{host}:{port}" for host in hosts) | frozenset(hosts if port == 80 else ())


def _query(key: str) -> str:
    return f"?key={key}" if key else ""


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
    key = new_key(PreviewConfig(connect=connect))
    command = [sys.executable, "-m", "realtime", "preview", "--connect", connect, "--port", str(port)]
    command += ["--key-on-stdin", "--end-with", str(os.getpid())]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        assert process.stdin is not None
        with suppress(BrokenPipeError), process.stdin as words:  # it may have ended already
            words.write(f"{key}\n".encode())
        try:
            yield f"http://{ADDRESS}:{port}/{_query(key)}"
        finally:
            process.terminate()
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                process.kill()
