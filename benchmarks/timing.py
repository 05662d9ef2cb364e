"""Times contenders against each other: in turn, in one run, so that a busy moment of the machine hits all of them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from time import perf_counter, sleep
from typing import Any

import numpy as np

SETTLE_S = 0.06
"""Between two calls: threads that spin after one contender's work must not slow the next one's.

Of two cores one was busy for 50 ms after a call of ONNX Runtime, for 10 after one of PyTorch, for 0.6 after one of
OpenVINO and for 0.1 after one of the native engine.
"""
MIN_CALLS = 5
"""Of every contender, for its median."""
CALLS_FOR_P95 = 20
"""The 95th percentile of fewer is little but their maximum, and tables leave it out."""


@dataclass(kw_only=True)
class Contender:
    """Something to time: call() does the work once; facts go into its row; it is called least_calls times or more."""

    call: Callable[[], object]
    facts: dict[str, Any]
    least_calls: int = CALLS_FOR_P95
    times_ms: list[float] = field(default_factory=list)

    def row(self) -> dict[str, Any]:
        """Its facts, the median and 95th percentile of its calls, and how many there were."""
        return {
            **self.facts,
            "median_ms": round(float(np.median(self.times_ms)), 3),
            "p95_ms": round(float(np.percentile(self.times_ms, 95)), 3),
            "calls": len(self.times_ms),
        }


def race(contenders: list[Contender], seconds: float, *, settle_s: float = SETTLE_S) -> list[dict[str, Any]]:
    """Rounds of one call each, settle_s apart, for about so many seconds, and until each has its least_calls.

    Each round has an order of its own, so that nobody always comes after the same one. A contender whose turn, the
    pause before it included, takes longer than its share sits out rounds in between, so that the quick ones get more.
    """
    turn_ms = []
    for contender in contenders:
        contender.call()  # compiles, allocates
        turn_ms.append(1000 * settle_s + _timed(contender.call))
    share_ms = max(1000 * seconds / max(len(contenders), 1) / 50, min(turn_ms, default=0.0))
    strides = [max(1, round(ms / share_ms)) for ms in turn_ms]
    until = perf_counter() + seconds
    turn, order = 0, Random(0)
    in_turn = list(zip(contenders, strides, strict=True))
    while perf_counter() < until or any(len(c.times_ms) < c.least_calls for c in contenders):
        late = perf_counter() >= until
        for contender, stride in order.sample(in_turn, len(in_turn)):
            if (turn % stride == 0 and not late) or (late and len(contender.times_ms) < contender.least_calls):
                sleep(settle_s)
                contender.times_ms.append(_timed(contender.call))
        turn += 1
    return [contender.row() for contender in contenders]


def _timed(call: Callable[[], object]) -> float:
    started = perf_counter()
    call()
    return (perf_counter() - started) * 1e3
