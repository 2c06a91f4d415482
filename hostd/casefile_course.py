"""The keys of [test.NAME] for what an average comes to: when it is certain, a sharper trace beside it."""

from typing import Literal

from dsp.averagers import least_sweeps
from dsp.sharpen import CORNER_HZ
from hostd.casefile_peaks import TestScope

Sharpen = Literal["off", "low-pass", "wiener"]


def check_averaging(scope: TestScope, sweeps: int) -> None:
    """An average of blocks needs more sweeps before its noise is known."""
    averaging = scope.table.averaging or "running"
    least = least_sweeps(averaging)
    if sweeps < least and scope.fine("averaging", "sweeps") and averaging == "blocks":
        cure = f'write sweeps = {least} or more, or averaging = "running"'
        scope.fault("averaging", f"{sweeps} sweeps are too few blocks to estimate the noise", cure)


def resolve_smallest_uv(scope: TestScope) -> float:
    """The smallest amplitude that a response of interest has."""
    written = scope.table.smallest_uv
    if written is not None and written < 0:
        scope.fault("smallest_uv", f"{written:g} uV is no amplitude", "write 0 or more, as smallest_uv = 0.3")
    return scope.modality.smallest_uv if written is None else written


def resolve_sharpen(scope: TestScope, band_hz: tuple[float, float] | None) -> Sharpen:
    """The second trace; a low-pass must leave less than the band does, and fit the sampling rate."""
    written = scope.table.sharpen or "off"
    if written != "low-pass" or not scope.fine("band_hz", "sharpen"):
        return written
    rate_hz = scope.setup.rate_hz
    if rate_hz is not None and rate_hz <= 2 * CORNER_HZ:
        what = f"a low-pass at {CORNER_HZ:g} Hz needs more than {2 * CORNER_HZ:g} samples/s"
        scope.fault("sharpen", what, 'write sharpen = "wiener" or "off"')
    elif band_hz is not None and band_hz[1] <= CORNER_HZ:
        what = f"a low-pass at {CORNER_HZ:g} Hz leaves a band that ends at {band_hz[1]:g} Hz as it is"
        scope.fault("sharpen", what, 'write sharpen = "wiener" or "off"')
    return written
