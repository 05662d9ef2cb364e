"""When to change to a smaller or a larger tier while the stream runs. Pure: the caller brings the clock."""

from collections import deque
from collections.abc import Mapping

import numpy as np

SETTLE_S = 1.0
MIN_SAMPLES = 10


class TierGovernor:
    """Steps one tier down under sustained overload, and up when there has long been room for the larger one.

    The two waits differ, and a step up that had to be taken back makes the next one wait twice as long: a machine at
    the edge comes to rest on the smaller tier.
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
        self._went_up = False

    def observe(self, now_s: float, batch_ms: float) -> str | None:
        """Take the time of one batch. Returns the tier to change to, which from then on counts as the one that serves.

        now_s: any monotonic clock.
        """
        if self._since_s is None:
            self._since_s = now_s
        if now_s - self._since_s < SETTLE_S:
            return None
        self._samples.append((now_s, batch_ms))
        while self._samples[0][0] < now_s - self._up_after_s:
            self._samples.popleft()
        served_s = now_s - self._since_s - SETTLE_S
        recent = [ms for at_s, ms in self._samples if at_s >= now_s - self._down_after_s]
        place = self._tiers.index(self.tier)

        overloaded = served_s >= self._down_after_s and len(recent) >= MIN_SAMPLES
        if overloaded and place > 0 and float(np.median(recent)) > self._budget_ms:
            self._up_after_s = self._up_after_s * 2 if self._went_up else self._first_up_after_s
            return self._change(place - 1, now_s, up=False)
        if served_s >= self._up_after_s and len(self._samples) >= MIN_SAMPLES and place + 1 < len(self._tiers):
            larger = self._tiers[place + 1]
            p95_ms = float(np.percentile([ms for _, ms in self._samples], 95))
            expected_ms = p95_ms * self._p95_ms[larger] / self._p95_ms[self.tier]
            if expected_ms <= self._headroom * self._budget_ms:
                return self._change(place + 1, now_s, up=True)
        return None

    def _change(self, place: int, now_s: float, *, up: bool) -> str:
        self.tier, self._since_s, self._went_up = self._tiers[place], now_s, up
        self._samples.clear()
        return self.tier
