"""Who may listen: answers libzmq's question (ZAP, RFC 27) whether a client's CURVE key is on the list.

The list is the folder of keys.py. It is read again whenever it changes, so that a client is let in or shut out without
a restart. libzmq asks only when a client connects; .revoked says that a listed key is gone, and the publisher then has
everyone connect again.
"""

import logging
import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import zmq
from zmq.utils import z85

from realtime.errors import StreamError
from realtime.keys import allowed_clients

_ZAP_ENDPOINT: Final = "inproc://zeromq.zap.01"
_LOOK_MS: Final = 200  # how soon a change of the folder is seen, and how long closing takes at most
_log = logging.getLogger(__name__)


class Gate:
    """Answers for every socket of one ZeroMQ context; as a context manager, before the first of them is bound.

    context: the publisher's own. folder: as keys.make_server_keys() made it. A list that cannot be read lets nobody in.
    """

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", folder: Path) -> None:
        self._context = context
        self._folder = folder
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._answer, name="zap", daemon=True)
        self._seen: object = None
        self._allowed: dict[bytes, str] = {}
        self.revoked = threading.Event()
        """Set when a key that was on the list no longer is; whoever has acted on it clears it."""
        self.refused = 0
        """Clients turned away so far."""

    def __enter__(self) -> Self:
        self._look()
        self._socket = self._context.socket(zmq.REP)
        self._socket.linger = 0
        self._socket.bind(_ZAP_ENDPOINT)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()
        self._socket.close()

    def _answer(self) -> None:
        while not self._stopping.is_set():
            asked = self._socket.poll(_LOOK_MS)
            self._look()
            if not asked:
                continue
            version, request, _domain, address, _identity, mechanism, *credentials = self._socket.recv_multipart()
            name = self._allowed.get(z85.encode(credentials[0])) if mechanism == b"CURVE" else None
            if name is None:
                self.refused += 1
                _log.info("%s: a client without a listed key was refused", address.decode("ascii", "replace"))
            answer = (b"200", b"OK") if name is not None else (b"400", b"not on the list of clients")
            self._socket.send_multipart((version, request, *answer, (name or "").encode(), b""))

    def _look(self) -> None:
        try:
            with os.scandir(self._folder / "clients") as entries:
                seen = sorted((e.name, (s := e.stat()).st_mtime_ns, s.st_size) for e in entries)
            if seen == self._seen:
                return
            allowed = allowed_clients(self._folder)
        except (OSError, StreamError) as err:
            seen, allowed = [], {}
            if self._seen != seen:
                _log.error("%s: expected a folder with the clients' keys, got: %s; nobody is let in", self._folder, err)
        if not self._allowed.keys() <= allowed.keys():
            self.revoked.set()
        self._seen, self._allowed = seen, allowed
