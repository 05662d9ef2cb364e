"""A sink's options, from the text behind its name on the command line."""

import math
from collections.abc import Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")


def read_options(kind: type[T], name: str, text: str) -> T:
    """Build kind, a dataclass of str, int, float, Path and Literal fields, from "FIRST,KEY=VALUE,...".

    Values without a key fill the fields in order. A class of one Path takes the whole text. Raises ValueError.
    """
    hints = get_type_hints(kind)
    if list(hints.values()) == [Path] and text:
        return kind(**{next(iter(hints)): Path(text)})
    given: dict[str, str] = {}
    for word in filter(None, text.split(",")):
        key, equals, value = word.partition("=")
        if not equals:
            key, value = next((field for field in hints if field not in given), ""), word
        if key not in hints or key in given:
            raise ValueError(f"sink {name}: expected {usage(kind, name)}, got {word!r}")
        given[key] = value
    absent = [field.name for field in fields(kind) if field.default is MISSING and field.name not in given]  # type: ignore[arg-type]
    if absent:
        raise ValueError(f"sink {name}: expected {usage(kind, name)}, got no {absent[0]}")
    return kind(**{key: _value(hints[key], f"sink {name}: {key}", value) for key, value in given.items()})


def usage(kind: type, name: str) -> str:
    """How the options are written, with their defaults."""
    words = [
        field.name.upper() if field.default is MISSING else f"{field.name}={field.default}" for field in fields(kind)
    ]
    return f"{name}={','.join(words)}"


def _value(kind: Any, what: str, text: str) -> Any:  # noqa: ANN401 - whatever the field's type is
    if get_origin(kind) is Literal:
        return _one_of(get_args(kind), what, text)
    try:
        value = kind(text)
    except ValueError as err:
        raise ValueError(f"{what}: expected {kind.__name__}, got {text!r}") from err
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{what}: expected a finite number, got {text!r}")
    return value


def _one_of(choices: Sequence[str], what: str, text: str) -> str:
    if text not in choices:
        raise ValueError(f"{what}: expected one of {', '.join(choices)}, got {text!r}")
    return text
