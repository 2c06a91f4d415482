"""Sample index to time: monotonic nanoseconds from the edges, wall time only as an anchor."""

import time


class Timebase:
    """Follows the newest data-ready edge; `follow` and `at` may be called from different threads."""

    def __init__(
        self, rate_hz: float, anchor: tuple[int, int] = (0, 0), utc_minus_t_ns: int | None = None
    ) -> None:
        self._ns_per_sample = 1e9 / rate_hz
        self._anchor = anchor
        now = time.time_ns() - time.monotonic_ns()
        self.utc_minus_t_ns = now if utc_minus_t_ns is None else utc_minus_t_ns

    def follow(self, index: int, t_ns: int) -> None:
        """Sample `index` was converted at `t_ns`."""
        self._anchor = (index, t_ns)

    def at(self, index: int) -> tuple[int, int]:
        """(t_ns, utc_ns) of sample `index`."""
        known, known_ns = self._anchor
        t_ns = known_ns + round((index - known) * self._ns_per_sample)
        return t_ns, t_ns + self.utc_minus_t_ns
