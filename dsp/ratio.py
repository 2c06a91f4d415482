"""The ratio of two measured sizes with its interval.

Owns Fieller's interval; refuses to divide by what is not clear of nothing.
"""

import math

from dsp.presence import Z_95


def fieller(over: float, over_se: float, under: float, under_se: float) -> tuple[float, float] | None:
    """95 % interval of a ratio that cannot be negative; None where the divisor is not clear of nothing.

    All r with (over - r under)^2 <= z^2 (over_se^2 + r^2 under_se^2): Fieller 1954.
    """
    z2 = Z_95**2
    a = under * under - z2 * under_se * under_se
    if not a > 0.0:
        return None
    b, c = over * under, over * over - z2 * over_se * over_se
    half = math.sqrt(max(b * b - a * c, 0.0))
    return max((b - half) / a, 0.0), max((b + half) / a, 0.0)
