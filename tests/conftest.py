"""What every test is held to: no ERROR log that it did not ask for, and no thread left behind. And a full disk."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from time import monotonic, sleep

import pytest


class _Errors(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(f"{record.name}: {record.getMessage()}")


@pytest.fixture
def error_logs() -> list[str]:
    """Ask for this to be allowed ERROR logs; holds those that the test made so far."""
    return []


@pytest.fixture(autouse=True)
def _no_unasked_error_logs(request: pytest.FixtureRequest) -> Iterator[None]:
    handler = _Errors()
    asked = "error_logs" in request.fixturenames
    if asked:
        handler.messages = request.getfixturevalue("error_logs")
    logging.getLogger().addHandler(handler)
    yield
    logging.getLogger().removeHandler(handler)
    if handler.messages and not asked:
        pytest.fail(f"ERROR logs that the test did not ask for: {handler.messages}")


@pytest.fixture(autouse=True)
def _no_thread_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    deadline = monotonic() + 2
    while (left := _left(before)) and monotonic() < deadline:
        sleep(0.01)
    if left:
        pytest.fail(f"threads left behind: {left}")


def _left(before: set[threading.Thread]) -> list[str]:
    return [t.name for t in threading.enumerate() if t not in before and t.is_alive()]


@pytest.fixture
def disk_of() -> Callable[[int], AbstractContextManager[None]]:
    """Call it with a number of bytes; no file can grow beyond that within the block, as on a full disk.

    A process that is started in the block keeps that limit.
    """
    resource = pytest.importorskip("resource")

    @contextmanager
    def limited(size: int) -> Iterator[None]:
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    return limited
