"""The header of a message, from a stranger: read key by key, each as one type and within its limits.

msgpack builds what the bytes ask for, so that it may build only small values: an array's claimed length costs memory
before its items are seen, and arrays nest.
"""

import math
import reprlib
from typing import Any, Final

import msgpack
import numpy as np
from numpy.typing import NDArray

from realtime.errors import WireError
from realtime.frames import Box
from realtime.message import EYE_POINTS, EyeLandmarks

MAX_INTEGER: Final = 2**63 - 1
MAX_SIDE: Final = 1 << 14
MAX_ITEMS: Final = 64
"""Of an array or map."""
MAX_DEPTH: Final = 4
"""Levels of a status' values."""

_LANDMARK_SHAPE = (2, len(EYE_POINTS[0]), 2)


def shorten(value: object) -> str:
    """A value for an error message, in at most 100 characters whatever it is."""
    text = reprlib.repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


class Header:
    """Each method reads one key as one type, or raises WireError saying what it expected and got."""

    def __init__(self, data: memoryview) -> None:
        try:
            header = msgpack.unpackb(data, max_array_len=MAX_ITEMS, max_map_len=MAX_ITEMS, max_ext_len=0)
        except ValueError as err:  # msgpack's own errors and UnicodeDecodeError are all ValueErrors
            raise WireError(f"header: expected msgpack within the limits of the wire, got: {str(err)[:200]}") from err
        if not isinstance(header, dict):
            raise WireError(f"header: expected a map, got {shorten(header)}")
        self.values = header

    def _wrong(self, key: str, expected: str) -> WireError:
        got = shorten(self.values[key]) if key in self.values else "nothing"
        return WireError(f"{key}: expected {expected}, got {got}")

    def integer(self, key: str, *, least: int = 0, most: int = MAX_INTEGER) -> int:
        value: Any = self.values.get(key)
        if type(value) is not int or not least <= value <= most:
            raise self._wrong(key, f"an integer of {least} to {most}")
        return value

    def flag(self, key: str) -> bool:
        value: Any = self.values.get(key)
        if type(value) is not bool:
            raise self._wrong(key, "true or false")
        return value

    def number(self, key: str) -> float:
        value: Any = self.values.get(key)
        if not _is_coordinate(value):
            raise self._wrong(key, "a finite number of pixels")
        return float(value)

    def text(self, key: str) -> str:
        value: Any = self.values.get(key)
        if not isinstance(value, str):
            raise self._wrong(key, "a text")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value: Any = self.values.get(key)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._wrong(key, "an array of texts")
        return tuple(value)

    def one_of(self, key: str, expected: str) -> None:
        if self.values.get(key) != expected:
            raise self._wrong(key, repr(expected))

    def stamps(self, key: str) -> dict[str, int]:
        value: Any = self.values.get(key)
        if not isinstance(value, dict) or not all(
            isinstance(name, str) and type(stamp_ns) is int and 0 <= stamp_ns <= MAX_INTEGER
            for name, stamp_ns in value.items()
        ):
            raise self._wrong(key, "a map from stages to nanoseconds")
        return value

    def size(self, key: str) -> tuple[int, int]:
        value: Any = self.values.get(key)
        if not _is_integers(value, 2, 1, MAX_SIDE):
            raise self._wrong(key, f"width and height of 1 to {MAX_SIDE}")
        return value[0], value[1]

    def shape(self, key: str, count: int) -> tuple[int, int, int, int]:
        value: Any = self.values.get(key)
        if not _is_integers(value, 4, 1, MAX_SIDE) or value[0] != count or value[3] != 3:
            raise self._wrong(key, f"[{count}, height, width, 3] with sides of 1 to {MAX_SIDE}")
        return count, value[1], value[2], 3

    def boxes(self, key: str, count: int) -> tuple[Box, ...]:
        value: Any = self.values.get(key)
        if not isinstance(value, list) or len(value) != count:
            raise self._wrong(key, f"an array of {count}")
        for box in value:
            if not _is_integers(box, 4, -MAX_SIDE, 2 * MAX_SIDE) or box[2] < 1 or box[3] < 1:
                raise self._wrong(key, "[x, y, width, height] in pixels for each patch")
        return tuple(Box(x=x, y=y, width=width, height=height) for x, y, width, height in value)

    def affines(self, key: str, count: int) -> NDArray[np.float64]:
        value: Any = self.values.get(key)
        if not isinstance(value, list) or len(value) != count:
            raise self._wrong(key, f"an array of {count}")
        for affine in value:
            if not isinstance(affine, list) or len(affine) != 6 or not all(map(_is_coordinate, affine)):
                raise self._wrong(key, "six finite numbers for each patch")
        return np.array(value, dtype=np.float64).reshape(count, 2, 3)

    def landmarks(self, key: str) -> EyeLandmarks:
        value: Any = self.values.get(key)
        size = 4 * math.prod(_LANDMARK_SHAPE)
        if not isinstance(value, bytes) or len(value) != size:
            raise self._wrong(key, f"{size} bytes of float32")
        points = np.frombuffer(value, "<f4").reshape(_LANDMARK_SHAPE)
        if not np.isfinite(points).all():
            raise self._wrong(key, "finite coordinates")
        return EyeLandmarks(points=points)

    def status(self, key: str) -> dict[str, Any]:
        """JSON-like values: None, bool, int, finite float, str, lists and maps of them."""
        value: Any = self.values.get(key)
        if not isinstance(value, dict):
            raise self._wrong(key, "a map")
        _check_json(value, MAX_DEPTH)
        return value


def _check_json(value: object, depth: int) -> None:
    if depth < 0:
        raise WireError(f"values: expected at most {MAX_DEPTH} levels, got more")
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise WireError(f"values: expected texts as keys, got {shorten(list(value))}")
        for item in value.values():
            _check_json(item, depth - 1)
    elif isinstance(value, list):
        for item in value:
            _check_json(item, depth - 1)
    elif not (value is None or isinstance(value, bool | int | str) or (type(value) is float and math.isfinite(value))):
        raise WireError(f"values: expected null, bool, finite number, text, list or map, got {shorten(value)}")


def _is_integers(value: object, count: int, least: int, most: int) -> bool:
    return (
        isinstance(value, list)
        and len(value) == count
        and all(type(item) is int and least <= item <= most for item in value)
    )


def _is_coordinate(value: object) -> bool:
    return type(value) in (int, float) and abs(value) <= 1e9  # type: ignore[arg-type]  # false for a NaN too
