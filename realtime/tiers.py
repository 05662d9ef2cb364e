"""Which tier serves: timed at the start, and changed while the stream runs too slowly or has long had room to spare."""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from engines import ResilientEngine, TierGovernor, choose_tier, load_checkpoint, load_engine, load_resilient
from engines.choose import HEADROOM
from realtime.config import EngineChoice
from realtime.frames import Enhanced

TYPICAL_SHAPE = (2, 48, 64)
"""Both eyes of a face at arm's length in a 640x480 image; larger ones are seen by the governor."""
OTHER_STAGES_MS = 12.0
"""Of a frame's period, what landmarks, crops and sending take at their 95th percentile."""
FASTEST_FPS = 60.0
STEP_UP_TOLD_S = 10.0
"""A step down is told while the smaller tier serves; a step up is good news, and told only at first."""

_log = logging.getLogger(__name__)


class Tiers:
    """Opens the engine that was chosen, with tier "auto" the best tier in time; then watches over it.

    `reason` says why the tier that serves was changed to, in words for a person.
    """

    def __init__(
        self,
        choice: EngineChoice,
        *,
        fps: Callable[[], float],
        load: Callable[[], object],
        tiers: Sequence[str | Path] | None = None,
    ) -> None:
        """For tier "auto", fps: gives the camera's rate; load: does the daemon's other work, beside the timing.

        tiers: to choose from, names or paths, worst quality first; None: those that are shipped for it.
        """
        self._choice = choice
        self._governor: TierGovernor | None = None
        self._tiers: dict[str, str] = {}
        self.facts: dict[str, Any] = {}
        """For the report, where tiers were timed: tiers_p95_ms, of both eyes, worst quality first; tier_budget_ms, the
        most at which one is chosen; tier_passed_over, which better ones were too slow, in words, or None."""
        self.reason: str | None = None
        self._reason_ends_s = math.inf
        self._asked_tier = self._asked_reason = ""
        self._asked_told_s = 0.0
        tier, frames = choice.tier, 0
        if tier == "auto" and choice.engine != "bicubic":
            self._fps = min(fps(), FASTEST_FPS)
            budget_ms = max(1000 / self._fps - OTHER_STAGES_MS, 1000 / FASTEST_FPS / 2)
            timed = choose_tier(
                choice.engine, budget_ms, shape=TYPICAL_SHAPE, load=load, threads=choice.threads, tiers=tiers
            )
            tier, frames = timed.tier, timed.frames
            self._tiers = {load_checkpoint(each).name: each for each in timed.p95_ms}
            p95_ms = dict(zip(self._tiers, timed.p95_ms.values(), strict=True))
            # Rounded once, so that words and numbers agree.
            told_ms = {name: round(ms, 2) for name, ms in p95_ms.items()}
            most_ms = round(HEADROOM * budget_ms, 2)
            _log.info("tiers, p95 of both eyes in ms: %s; %.1f ms allowed", told_ms, most_ms)
            chosen = next(name for name, each in self._tiers.items() if each == tier)
            self.facts = {
                "tiers_p95_ms": told_ms,
                "tier_budget_ms": most_ms,
                "tier_passed_over": _passed_over(chosen, told_ms, most_ms),
            }
            self._governor = TierGovernor(p95_ms, chosen, budget_ms=budget_ms)
        self.engine: ResilientEngine = load_resilient(choice.engine, tier, frames=frames, threads=choice.threads)

    def observe(self, enhanced: Enhanced) -> None:
        """Take one frame's time into account; may begin to open another tier, which takes over when it is ready."""
        if self._governor is None or enhanced.patches is None:
            return
        started_ns, ended_ns = enhanced.stamps_ns["engine_wait"], enhanced.stamps_ns["engine"]
        now_s, before = ended_ns / 1e9, self._governor.tier
        wanted = self._governor.observe(now_s, (ended_ns - started_ns) / 1e6, enhanced.tier)
        if self._governor.tier != before:
            self.reason = self._asked_reason if self._governor.tier == self._asked_tier else None
            self._reason_ends_s = now_s + self._asked_told_s
        if now_s > self._reason_ends_s:
            self.reason = None
        if wanted is not None:
            worst_first = list(self._tiers)
            down = worst_first.index(wanted) < worst_first.index(enhanced.tier)
            speed = "too slow" if down else "fast enough"
            self._asked_tier = wanted
            self._asked_reason = f"{enhanced.tier} -> {wanted}: {speed} for {self._fps:g} frames a second"
            self._asked_told_s = math.inf if down else STEP_UP_TOLD_S
            _log.info("changing tier: %s", self._asked_reason)
            self.engine.replace(lambda: load_engine(enhanced.engine, self._tiers[wanted], threads=self._choice.threads))


def _passed_over(chosen: str, p95_ms: Mapping[str, float], most_ms: float) -> str | None:
    better = list(p95_ms)[list(p95_ms).index(chosen) + 1 :]
    if not better:
        return None
    took = ", ".join(f"{name} takes {p95_ms[name]:.1f} ms" for name in reversed(better))
    return f"tier {chosen}: {took} (p95 of both eyes), {most_ms:.1f} ms allowed"
