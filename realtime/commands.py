"""The commands: what each one's line says, and the configuration and the function that it becomes."""

# ruff: noqa: T201 - a command line speaks on standard output

import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, make_dataclass
from pathlib import Path
from typing import Annotated, Final, Union, get_type_hints

import tyro

from engines import EngineError
from realtime.config import (
    Config,
    DoctorConfig,
    EnhanceConfig,
    KeysConfig,
    PreviewConfig,
    RecordConfig,
    ReplayConfig,
    SubscribeConfig,
)
from realtime.errors import CameraError, RealtimeError, StreamError


def _port(words: list[str]) -> int:
    """The port of an option that may stand alone."""
    if len(words) > 1:
        raise ValueError(f"expected at most one port, got {' '.join(words)}")
    return int(words[0]) if words else PreviewConfig().port


_PORT: Final = tyro.constructors.PrimitiveConstructorSpec[int](
    nargs="*",
    metavar="[PORT]",
    instance_from_str=_port,
    is_instance=lambda value: isinstance(value, int),
    str_from_instance=lambda port: [str(port)],
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Run(Config):
    """Stream enhanced eyes from a camera until the source ends, the time is up or Ctrl-C comes."""

    sink: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Feed another program too, NAME or NAME=OPTIONS: imagezmq, lsl, netgear, pupil, pupil-frames, record=FOLDER,
    virtualcam; see realtime/sinks/. May be given several times."""
    preview: Annotated[int, _PORT] | None = None
    """Show the stream in a browser: a page at this port of 127.0.0.1, from a process of its own."""
    verbose: Annotated[bool, tyro.conf.arg(aliases=["-v"])] = False
    """Log what is done, not only what goes wrong."""


def run(config: Run) -> int:
    """Stream enhanced eyes from a camera until the source ends, the time is up or Ctrl-C comes."""
    _log_to_stderr(logging.INFO if config.verbose else logging.WARNING)
    from realtime import daemon  # what it needs takes a second to import

    return daemon.run(config)


def subscribe(config: SubscribeConfig) -> int:
    """Watch a stream from the side of a gaze tracker: rate, latency, drops; save its patches."""
    _log_to_stderr(logging.ERROR)
    from realtime.subscribe import subscribe

    return subscribe(config)


@dataclass(frozen=True, kw_only=True, slots=True)
class Record(RecordConfig):
    """Keep a running daemon's stream in a folder that `replay` and pandas read."""

    folder: tyro.conf.Positional[Path]
    """Where it goes; a folder that holds a recording gets a further part."""


def record(config: Record) -> int:
    """Keep a running daemon's stream in a folder that `replay` and pandas read."""
    _log_to_stderr(logging.WARNING)
    from realtime.record import record

    return record(config)


@dataclass(frozen=True, kw_only=True, slots=True)
class Replay(ReplayConfig):
    """Publish a recording as if the daemon were running: the same bytes, at the same pace."""

    folder: tyro.conf.Positional[Path]
    """Of a recording: by `record`, `run --sink record=FOLDER` or `enhance`."""


def replay(config: Replay) -> int:
    """Publish a recording as if the daemon were running: the same bytes, at the same pace."""
    _log_to_stderr(logging.WARNING)
    from realtime.replay import replay

    return replay(config)


@dataclass(frozen=True, kw_only=True, slots=True)
class Enhance(EnhanceConfig):
    """Enhance every frame of recorded videos, into folders that `replay` and pandas read."""

    videos: tyro.conf.Positional[tuple[Path, ...]]
    """Video files."""


def enhance(config: Enhance) -> int:
    """Enhance every frame of recorded videos, into folders that `replay` and pandas read."""
    _log_to_stderr(logging.WARNING)
    from realtime.offline import enhance_videos

    return enhance_videos(config)


def preview(config: PreviewConfig) -> int:
    """Show a running daemon's stream in a browser on this machine, and its numbers to Prometheus at /metrics."""
    _log_to_stderr(logging.WARNING)
    from realtime.preview import preview

    return preview(config)


def doctor(config: DoctorConfig) -> int:
    """Show what this machine can do: cameras, iris size, engines, tiers, versions."""
    _log_to_stderr(logging.ERROR)
    from realtime.doctor import examine

    return examine(config)


def keys(config: KeysConfig) -> int:
    """Make CURVE keys for a stream that leaves this machine: the daemon's, and one for each client."""
    _log_to_stderr(logging.WARNING)
    from realtime.keys import make_client_keys, make_server_keys

    if not (config.folder / "server.json").exists():
        print(
            f"made {make_server_keys(config.folder)}; it stays here: catchlight run --keys {config.folder} --bind ..."
        )
    if config.client is not None:
        path = config.file or Path(f"{config.client}.json")
        made = make_client_keys(config.folder, config.client, path)
        print(f"made {made}; it goes to {config.client}: catchlight subscribe --keys {made} --connect ...")
    return 0


COMMANDS: Final[dict[str, Callable[..., int]]] = {
    "run": run,
    "subscribe": subscribe,
    "record": record,
    "replay": replay,
    "enhance": enhance,
    "preview": preview,
    "doctor": doctor,
    "keys": keys,
}
EXIT_CODES: Final = {ValueError: 2, CameraError: 3, EngineError: 4, StreamError: 5, RealtimeError: 1}
"""The first that an error is an instance of."""


def command(arguments: Sequence[str] | None = None) -> int:
    """Parse the arguments, by default the process's, and do what they say; returns the exit code."""
    functions = {get_type_hints(function)["config"]: function for function in COMMANDS.values()}
    subcommands = tuple(
        Annotated[kind, tyro.conf.subcommand(name, description=function.__doc__)]
        for (name, function), kind in zip(COMMANDS.items(), functions, strict=True)
    )
    # tyro would wrap the bare union in a class of its own, whose name stands in its messages.
    line = make_dataclass("Line", [("command", Annotated[Union[subcommands], tyro.conf.arg(name="")])])  # noqa: UP007
    try:
        config: object = tyro.cli(
            line,
            prog="catchlight",
            description="A plain webcam, made fit for eye tracking: enhanced eyes, live, over ZeroMQ.",
            args=arguments,
            config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
        ).command
        return functions[type(config)](config)
    except tuple(EXIT_CODES) as err:
        print("catchlight: " + " ".join(str(err).split()), file=sys.stderr)
        return next(code for kind, code in EXIT_CODES.items() if isinstance(err, kind))


def _log_to_stderr(level: int) -> None:
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
