"""What a run measures of itself, in memory that does not grow with its length."""

import math
from collections import Counter
from collections.abc import Mapping
from time import monotonic_ns
from typing import Any

import numpy as np

from realtime.frames import Enhanced

STAGES = ("capture_wait", "landmarks", "crops", "engine_wait", "engine", "encode", "send")
"""In the order that a frame passes them; each lasts from the end of the one before, the first from the capture."""

_RESOLUTION = math.log(1.01)
_SHORTEST_NS = 1_000
_BUCKETS = 2_100  # 1.01 ** 2100 microseconds: twenty minutes


class Durations:
    """Percentiles of any number of durations, exact to 1 %, in constant memory; the maximum is exact."""

    def __init__(self) -> None:
        self._counts = np.zeros(_BUCKETS, np.int64)
        self._max_ns = 0

    def add(self, duration_ns: int) -> None:
        """Count one duration."""
        bucket = int(math.log(max(duration_ns, _SHORTEST_NS) / _SHORTEST_NS) / _RESOLUTION)
        self._counts[min(bucket, _BUCKETS - 1)] += 1
        self._max_ns = max(self._max_ns, duration_ns)

    @property
    def count(self) -> int:
        """Durations added so far."""
        return int(self._counts.sum())

    def summary_ms(self) -> dict[str, float | None]:
        """p50, p95, p99 and max in milliseconds; None for each when nothing was added."""
        names = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
        if not self.count:
            return dict.fromkeys((*names, "max"))
        cumulative = np.cumsum(self._counts)
        ranks = {name: math.ceil(share * self.count) for name, share in names.items()}
        middles = {
            name: _SHORTEST_NS * math.exp((int(np.searchsorted(cumulative, rank)) + 0.5) * _RESOLUTION)
            for name, rank in ranks.items()
        }
        return {name: round(min(ns, self._max_ns) / 1e6, 3) for name, ns in (middles | {"max": self._max_ns}).items()}


class Metrics:
    """Counts and durations of the messages that were sent."""

    def __init__(self) -> None:
        self.published = 0
        """Messages on the `eyes` topic, with or without a face."""
        self.faces_found = 0
        self.faces_published = 0
        """Messages with both enhanced eyes."""
        self.by_engine = Counter[str]()
        """Messages with pixels, by the engine that made them."""
        self.latency = Durations()
        """From the capture stamp to the end of the send."""
        self.stages = {name: Durations() for name in STAGES}
        self.frames_captured = 0
        """Frames that the camera gave up to the last one seen here; those not published were dropped."""
        self.first_sent_ns: int | None = None
        self.last_sent_ns: int | None = None

    def add(self, enhanced: Enhanced, sent_stamps_ns: dict[str, int]) -> dict[str, int]:
        """Count one message; sent_stamps_ns: monotonic time at the end of "encode" and of "send".

        Returns what each of STAGES took, in nanoseconds; their sum is the latency.
        """
        stamps = enhanced.stamps_ns | sent_stamps_ns
        started, took_ns = enhanced.crops.frame.captured_ns, {}
        for name in STAGES:
            took_ns[name] = stamps[name] - started
            self.stages[name].add(took_ns[name])
            started = stamps[name]
        self.latency.add(sum(took_ns.values()))
        self.frames_captured = enhanced.crops.frame.number + 1
        self.published += 1
        self.faces_found += enhanced.crops.landmarks is not None
        if enhanced.patches is not None:
            self.faces_published += 1
            self.by_engine[enhanced.engine] += 1
        if self.first_sent_ns is None:
            self.first_sent_ns = started
        self.last_sent_ns = started
        return took_ns

    @property
    def fps(self) -> float | None:
        """Messages per second between the first and the last; None for fewer than two."""
        if self.first_sent_ns is None or self.last_sent_ns is None or self.published < 2:
            return None
        return (self.published - 1) / max((self.last_sent_ns - self.first_sent_ns) / 1e9, 1e-9)


class LastSecond:
    """Rate and latency since the last look, for the status line and the `status` topic."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._since_ns, self._latency = monotonic_ns(), Durations()
        self._stages = {name: Durations() for name in STAGES}

    def add(self, took_ns: Mapping[str, int]) -> None:
        """Count one message, and what each of STAGES took, in nanoseconds."""
        self._latency.add(sum(took_ns.values()))
        for name, duration_ns in took_ns.items():
            self._stages[name].add(duration_ns)

    def take(self) -> dict[str, Any]:
        """Since the last call: fps, messages per second; latency_ms; stages_ms, of each stage."""
        seconds = max((monotonic_ns() - self._since_ns) / 1e9, 1e-9)
        taken = {
            "fps": round(self._latency.count / seconds, 2),
            "latency_ms": self._latency.summary_ms(),
            "stages_ms": {name: stage.summary_ms() for name, stage in self._stages.items()},
        }
        self._begin()
        return taken
