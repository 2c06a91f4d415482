"""The converter's own noise by gain and rate: table, model beyond it, and blocks of it.

Owns the figures of facts/hardware.md 1.10 [DS-A p6]; the noise is white, Gaussian, independent per channel,
referred to shorted inputs. Gains 1 and 2 are the datasheet's; beyond them it gives one value (0.14 uV rms at
gain 24 and 250 SPS) and the rest is a model: an amplifier's share, a converter's share divided by the gain,
both by the root of the rate, and above 4 kSPS quantisation, whose size gains 1 and 2 tell. Not confirmed on
silicon: 8 and 16 kSPS at gains of 4 and more. The ADS1298 has no figures there and takes these.
"""

import math

_TABLE_UV: dict[tuple[int, int], float] = {
    (gain, rate): value
    for gain, row in {
        1: (21.70, 6.93, 4.33, 3.06, 2.17, 1.53, 1.08),
        2: (10.85, 3.65, 2.28, 1.61, 1.14, 0.81, 0.57),
    }.items()
    for rate, value in zip((16000, 8000, 4000, 2000, 1000, 500, 250), row, strict=True)
}
_AMPLIFIER_UV = 0.133
_CONVERTER_UV = 1.07
_REFERENCE_RATE_HZ = 250.0


def _model_uv(gain: float, rate_hz: float) -> float:
    """Thermal noise: fits gains 1 and 2 within 5 % up to 4 kSPS."""
    return math.hypot(_AMPLIFIER_UV, _CONVERTER_UV / gain) * math.sqrt(rate_hz / _REFERENCE_RATE_HZ)


def _quantisation_uv(rate_hz: float) -> float:
    """At gain 1, what the table has above the model; 0 up to 4 kSPS. Rates beyond 16 kSPS as 16 kSPS."""
    if rate_hz <= 4000:
        return 0.0
    measured_uv = _TABLE_UV[1, 8000 if rate_hz <= 8000 else 16000]
    return math.sqrt(measured_uv**2 - _model_uv(1, 8000 if rate_hz <= 8000 else 16000) ** 2)


def noise_uv(gain: int, rate_hz: float) -> float:
    """Input-referred noise in microvolts rms; ValueError unless gain and rate are positive."""
    if not (gain > 0 and rate_hz > 0):
        raise ValueError(f"noise needs a positive gain and rate, got {gain} and {rate_hz} Hz")
    listed = _TABLE_UV.get((gain, round(rate_hz)))
    if listed is not None:
        return listed
    return math.hypot(_model_uv(gain, rate_hz), _quantisation_uv(rate_hz) / gain)
