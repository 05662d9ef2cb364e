"""Compiled engines on disk: keyed by everything that went into them, written whole or not at all, checked when read.

An entry is two files, KEY.bin and KEY.json; the second holds the first one's SHA-256, the facts behind the key, and
what the back end wants to remember. A damaged, half-written or strange entry is a miss.
"""

import hashlib
import json
import logging
import os
import platform
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

from engines.errors import CacheError, EngineError
from engines.files import write_whole

SCHEMA = 1

T = TypeVar("T")

log = logging.getLogger(__name__)


class EngineCache:
    """One folder of compiled engines, shared by any number of processes."""

    def __init__(self, folder: Path | None = None, *, max_bytes: int = 2 << 30) -> None:
        """folder: default_folder() if None. max_bytes: of all compiled engines together; the oldest go first."""
        self.folder = default_folder() if folder is None else Path(folder)
        self._max_bytes = max_bytes

    def load(self, key: str) -> tuple[bytes, dict[str, Any]] | None:
        """The compiled engine and its record, or None; a damaged entry is logged, removed, and None."""
        blob_path, json_path = self._paths(key)
        try:
            document = json.loads(json_path.read_bytes())
            blob = blob_path.read_bytes()
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as err:
            self.reject(key, f"cannot be read: {err}")
            return None
        sha256 = hashlib.sha256(blob).hexdigest()
        if not isinstance(document, dict) or document.get("sha256") != sha256 or document.get("schema") != SCHEMA:
            self.reject(key, f"its record does not describe the {len(blob)} bytes beside it")
            return None
        record = document.get("record")
        return blob, record if isinstance(record, dict) else {}

    def save(self, key: str, blob: bytes, facts: Mapping[str, object], record: Mapping[str, Any] | None = None) -> None:
        """Write an entry atomically, then drop the oldest beyond max_bytes. Raises CacheError."""
        blob_path, json_path = self._paths(key)
        document = {
            "schema": SCHEMA,
            "sha256": hashlib.sha256(blob).hexdigest(),
            "facts": {k: str(v) for k, v in sorted(facts.items())},
            "record": dict(record or {}),
        }
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_whole(blob_path, blob)
            write_whole(json_path, (json.dumps(document, indent=1) + "\n").encode())
            self._prune(keep=blob_path)
        except OSError as err:
            raise CacheError(
                f"cannot write {blob_path}: {err.strerror or err}; free some space or choose another cache folder"
            ) from err

    def reject(self, key: str, reason: str) -> None:
        """Drop an entry that turned out to be unusable, saying so."""
        log.warning("compiled engine %s: %s; building it again", self._paths(key)[0], reason)
        for path in self._paths(key):
            try:
                path.unlink(missing_ok=True)
            except OSError as err:
                log.warning("cannot remove %s: %s", path, err.strerror)

    def obtain(
        self,
        facts: Mapping[str, object],
        build: Callable[[], tuple[bytes, dict[str, Any]]],
        open_engine: Callable[[bytes, dict[str, Any]], T],
    ) -> T:
        """The opened engine that these facts describe: from disk, or built by one process while the others wait.

        build: makes the compiled engine and its record. open_engine: raises EngineError for one that will not do; when
        it came from disk it is built again, once, and when it was just built the error is the caller's. A folder that
        cannot be written costs the cache, not the engine.
        """
        key = cache_key(facts)
        with ExitStack() as stack:
            try:
                stack.enter_context(self.building(key))
            except CacheError as err:
                log.warning("%s", err)
            if found := self.load(key):
                try:
                    return open_engine(*found)
                except EngineError as err:
                    self.reject(key, str(err))
            blob, record = build()
            opened = open_engine(blob, record)
            try:
                self.save(key, blob, facts, record)
            except CacheError as err:
                log.warning("%s", err)
            return opened

    @contextmanager
    def building(self, key: str) -> Iterator[None]:
        """Held by the one process that builds an entry; others wait here, then find it with load().

        Raises CacheError when the folder cannot be written.
        """
        path = self.folder / f"{key}.lock"
        with ExitStack() as stack:
            try:
                self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                _lock(stack.enter_context(path.open("a+b")))
            except OSError as err:
                raise CacheError(f"cannot lock {path}: {err.strerror or err}; choose another cache folder") from err
            yield

    def _paths(self, key: str) -> tuple[Path, Path]:
        return self.folder / f"{key}.bin", self.folder / f"{key}.json"

    def _prune(self, keep: Path) -> None:
        entries = sorted((path.stat().st_mtime_ns, path.stat().st_size, path) for path in self.folder.glob("*.bin"))
        total = sum(size for _, size, _ in entries)
        for _, size, path in entries:
            if total <= self._max_bytes:
                break
            if path != keep:
                path.unlink(missing_ok=True)
                path.with_suffix(".json").unlink(missing_ok=True)
                total -= size


def cache_key(facts: Mapping[str, object]) -> str:
    """A file name for a compiled engine: its back end, and a hash over all facts in sorted order.

    facts: whatever the compiled engine depends on; must name its "backend".
    """
    text = json.dumps({k: str(v) for k, v in facts.items()} | {"schema": str(SCHEMA)}, sort_keys=True)
    return f"{facts['backend']}-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def default_folder() -> Path:
    """Where compiled engines live unless the caller says otherwise: the user's own cache folder."""
    if os.path.isabs(xdg := os.environ.get("XDG_CACHE_HOME", "")):
        return Path(xdg) / "catchlight"
    home = Path.home()
    if sys.platform == "win32":
        return home / "AppData" / "Local" / "catchlight" / "Cache"
    return home / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "catchlight"


def cpu_name() -> str:
    """The processor's model and instruction sets, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts = dict(reversed([line.split(":", 1) for line in lines if ":" in line]))
    named = {k.strip(): v.strip() for k, v in facts.items()}
    return " ".join(named.get(k, "") for k in ("model name", "cpu family", "model", "stepping", "flags", "Features"))


if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[bytes]) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
else:
    import fcntl

    def _lock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX)
