"""Interleaved timing: every round times every case once, in rotating order, so that drift hits all alike."""

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray


def interleave(
    cases: dict[str, Callable[[], object]], rounds: int = 15, least_s: float = 0.02
) -> dict[str, NDArray[np.float64]]:
    """Seconds per call of every case in every round."""
    repeats: dict[str, int] = {}
    for name, case in cases.items():
        case()
        n = 1
        while (spent := _time(case, n)) < least_s:
            n = max(2 * n, int(n * least_s / max(spent, 1e-9)))
        repeats[name] = n
    names = list(cases)
    seconds = {name: np.empty(rounds) for name in names}
    for r in range(rounds):
        for name in names[r % len(names) :] + names[: r % len(names)]:
            seconds[name][r] = _time(cases[name], repeats[name]) / repeats[name]
    return seconds


def _time(case: Callable[[], object], n: int) -> float:
    start = time.perf_counter()
    for _ in range(n):
        case()
    return time.perf_counter() - start
