"""When to change to a smaller or a larger tier while the stream runs. Pure: the caller brings the clock."""

from collections import deque
from collections.abc import Mapping

import numpy as np

SETTLE_S = 1.0
MIN_SAMPLES = 10
LONGEST_WAIT_S = 600.0
"""The most that a tier which had to be taken back again and again is kept waiting."""
ASK_AGAIN_S = 10.0
"""A change that was asked for and did not come: it is still being opened, or failed."""


class TierGovernor:
    """Asks for one tier down under sustained overload, and up when there has long been room for the larger one.

    The two waits differ, and a step up that had to be taken back makes the next one wait twice as long: a machine at
    the edge comes to rest on the smaller tier. What it asks for may come late, or not, and an engine that fails may
    bring another tier unasked: it goes by the tier that made the batch.
    """

    def __init__(
        self,
        p95_ms: Mapping[str, float],
        tier: str,
        *,
        budget_ms: float,
        down_after_s: float = 2.0,
        up_after_s: float = 20.0,
        headroom: float = 0.8,
    ) -> None:
        """p95_ms: what each tier takes, worst quality first, as TierChoice has it. tier: the one that serves now.

        budget_ms: for one batch. headroom: step up only if the larger tier is expected within this share of it.
        """
        if tier not in p95_ms:
            raise ValueError(f"tier: expected one of {', '.join(p95_ms)}, got {tier!r}")
        self.tier = tier
        self._p95_ms, self._tiers = dict(p95_ms), list(p95_ms)
        self._budget_ms, self._headroom = budget_ms, headroom
        self._down_after_s, self._first_up_after_s, self._up_after_s = down_after_s, up_after_s, up_after_s
        self._samples: deque[tuple[float, float]] = deque()
        self._since_s: float | None = None
        self._asked_s: float | None = None
        self._went_up = False

    def observe(self, now_s: float, batch_ms: float, tier: str) -> str | None:
        """Take the time of one batch that this tier made. Returns the tier to change to, if any.

        now_s: any monotonic clock. Tiers that were never timed, bicubic for one, teach nothing.
        """
        if tier not in self._p95_ms:
            return None
        if tier != self.tier:
            self._follow(tier)
        if self._since_s is None:
            self._since_s = now_s
        if now_s - self._since_s < SETTLE_S:
            return None
        self._samples.append((now_s, batch_ms))
        while self._samples[0][0] < now_s - self._first_up_after_s:
            self._samples.popleft()
        if self._asked_s is not None and now_s - self._asked_s < ASK_AGAIN_S:
            return None
        wanted = self._wanted(now_s, now_s - self._since_s - SETTLE_S)
        if wanted is not None:
            self._asked_s = now_s
        return wanted

    def _wanted(self, now_s: float, served_s: float) -> str | None:
        recent = [ms for at_s, ms in self._samples if at_s >= now_s - self._down_after_s]
        place = self._tiers.index(self.tier)
        overloaded = served_s >= self._down_after_s and len(recent) >= MIN_SAMPLES
        if overloaded and place > 0 and float(np.median(recent)) > self._budget_ms:
            return self._tiers[place - 1]
        if served_s >= self._up_after_s and len(self._samples) >= MIN_SAMPLES and place + 1 < len(self._tiers):
            larger = self._tiers[place + 1]
            p95_ms = float(np.percentile([ms for _, ms in self._samples], 95))
            expected_ms = p95_ms * self._p95_ms[larger] / self._p95_ms[self.tier]
            if expected_ms <= self._headroom * self._budget_ms:
                return larger
        return None

    def _follow(self, tier: str) -> None:
        up = self._tiers.index(tier) > self._tiers.index(self.tier)
        if not up:
            self._up_after_s = min(2 * self._up_after_s, LONGEST_WAIT_S) if self._went_up else self._first_up_after_s
        self.tier, self._went_up = tier, up
        self._since_s = self._asked_s = None
        self._samples.clear()
