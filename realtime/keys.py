"""CURVE keys on disk: who the publisher is, and who may listen.

keys/server.json          {"public", "secret"}            mode 0600; stays with the publisher
keys/clients/NAME.pub     a client's public key, 40 characters of Z85; deleting the file shuts NAME out
NAME.json                 {"server", "public", "secret"}  mode 0600; goes to the subscriber NAME
"""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import zmq

from realtime.errors import StreamError

_KEY_BYTES: Final = 40
_MAX_FILE_BYTES = 4096
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class ServerKeys:
    """The publisher's key pair, as Z85."""

    public: bytes
    secret: bytes


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class ClientKeys:
    """A subscriber's key pair and its publisher's public key, as Z85."""

    server: bytes
    public: bytes
    secret: bytes


def make_server_keys(folder: Path) -> Path:
    """Make the folder of a publisher: its key pair and an empty list of clients. Returns the key file.

    Raises StreamError when there are keys already (replacing them would shut every client out) or on a full disk.
    """
    public, secret = _new_pair()
    path = folder / "server.json"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / "clients").mkdir(mode=0o700, exist_ok=True)
    except OSError as err:
        raise StreamError(f"{folder}: expected a folder that can be written, got: {err}") from err
    _write_new(path, json.dumps({"public": public, "secret": secret}, indent=2))
    return path


def make_client_keys(folder: Path, name: str, path: Path) -> Path:
    """Make a key pair for a client, allow it in the publisher's folder, and write its key file to path.

    name: letters, digits, - and _. A running publisher lets the client in at once. Raises ValueError for another name,
    StreamError when the folder has no server keys or the name or the file exists.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"client's name: expected 1 to 64 letters, digits, - or _, got {name!r}")
    server = load_server_keys(folder)
    allowed = folder / "clients" / f"{name}.pub"
    if allowed.exists():
        raise StreamError(f"{allowed}: expected a new client, got one that has a key; delete the file to shut it out")
    public, secret = _new_pair()
    _write_new(path, json.dumps({"server": server.public.decode(), "public": public, "secret": secret}, indent=2))
    try:
        _write_new(allowed, public + "\n")
    except StreamError:
        path.unlink(missing_ok=True)
        raise
    return path


def load_server_keys(folder: Path) -> ServerKeys:
    """Read a publisher's key pair. Raises StreamError when it is missing, damaged or readable by others."""
    values = _read_secret(folder / "server.json", ("public", "secret"), "run `catchlight keys` to make them")
    return ServerKeys(**values)


def load_client_keys(path: Path) -> ClientKeys:
    """Read a subscriber's key file. Raises StreamError when it is missing, damaged or readable by others."""
    values = _read_secret(path, ("server", "public", "secret"), "ask the publisher's owner for one")
    return ClientKeys(**values)


def allowed_clients(folder: Path) -> dict[bytes, str]:
    """The public keys that may listen, with their names; files that are no public key are left out."""
    clients = {}
    try:
        for path in sorted((folder / "clients").glob("*.pub")):
            with path.open("rb") as file:
                key = file.read(_MAX_FILE_BYTES).strip()
            if len(key) == _KEY_BYTES:
                clients[key] = path.stem
    except OSError as err:
        raise StreamError(f"{folder / 'clients'}: expected the clients' public keys, got: {err}") from err
    return clients


def _new_pair() -> tuple[str, str]:
    if not zmq.has("curve"):
        raise StreamError("libzmq: expected one with CURVE, got one without; install pyzmq from its wheel")
    public, secret = zmq.curve_keypair()
    return public.decode(), secret.decode()


def _write_new(path: Path, text: str) -> None:
    """Write a file of mode 0600 that was not there before, whole or not at all."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as err:
        raise StreamError(f"{path}: expected no file, got one; delete it first if its keys are to go") from err
    except OSError as err:
        raise _refused(path, err) from err
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
    except OSError as err:
        path.unlink(missing_ok=True)
        raise _refused(path, err) from err


def _refused(path: Path, err: OSError) -> StreamError:
    return StreamError(
        f"{path}: expected a file that can be written, got: {err.strerror}; free space or choose another"
    )


def _read_secret(path: Path, names: tuple[str, ...], remedy: str) -> dict[str, bytes]:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode & 0o777
            if os.name == "posix" and mode & 0o077:
                raise StreamError(
                    f"{path}: expected mode 600, got {mode:o}, which others can use; run chmod 600 {path}"
                )
            values = json.loads(file.read(_MAX_FILE_BYTES))
    except OSError as err:
        raise StreamError(f"{path}: expected a key file, got: {err.strerror}; {remedy}") from err
    except (ValueError, RecursionError) as err:
        raise StreamError(f"{path}: expected JSON, got: {err}; {remedy}") from err
    if not isinstance(values, dict) or set(values) != set(names) or not all(map(_is_key, values.values())):
        raise StreamError(f"{path}: expected the keys {', '.join(names)} in Z85, got others; {remedy}")
    return {name: values[name].encode() for name in names}


def _is_key(text: object) -> bool:
    if not isinstance(text, str) or not text.isascii() or len(text) != _KEY_BYTES:
        return False
    try:
        zmq.curve_public(text.encode())  # libzmq's own check: any 32 bytes are a key, but not all texts are Z85
    except zmq.ZMQError:
        return False
    return True
