"""The keys of [test.NAME] for what an average comes to: its end, further traces, mains taken out."""

from typing import Literal

from dsp.limits import MAINS_MIN_RATE_HZ, SHARP_HZ, Averaging, least_sweeps
from dsp.mains_sums import LEAST_USED
from dsp.nouns import Derivation, Peak
from hostd.casefile_faults import show_key
from hostd.casefile_peaks import TestScope

Sharpen = Literal["off", "low-pass", "wiener"]
Virtual = Literal["off", "dss"]
Mains = Literal["leave", "fit"]


def check_averaging(scope: TestScope, sweeps: int) -> None:
    """An average of blocks needs more sweeps before its noise is known."""
    averaging: Averaging = scope.value("averaging") or "running"
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
    written: Sharpen = scope.value("sharpen") or "off"
    if written != "low-pass" or not scope.fine("band_hz", "sharpen"):
        return written
    rate_hz = scope.setup.rate_hz
    fits = (rate_hz is None or rate_hz > 2 * SHARP_HZ) and (band_hz is None or band_hz[1] > SHARP_HZ)
    if not fits and scope.table.sharpen is None:
        return "off"  # a default gives way
    if rate_hz is not None and rate_hz <= 2 * SHARP_HZ:
        what = f"a low-pass at {SHARP_HZ:g} Hz needs more than {2 * SHARP_HZ:g} samples/s"
        scope.fault("sharpen", what, 'write sharpen = "wiener" or "off"')
    elif band_hz is not None and band_hz[1] <= SHARP_HZ:
        what = f"a low-pass at {SHARP_HZ:g} Hz leaves a band that ends at {band_hz[1]:g} Hz as it is"
        scope.fault("sharpen", what, 'write sharpen = "wiener" or "off"')
    return written


def resolve_virtual(
    scope: TestScope, derivations: tuple[Derivation, ...], peaks: tuple[Peak, ...]
) -> Virtual:
    """A virtual channel is made of several derivations, and learns where a peak of the first one is."""
    written: Virtual = scope.value("virtual") or "off"
    if written == "off" or not scope.fine("derivations", "peak", "virtual"):
        return written
    if len(derivations) == 1:
        what = "one derivation is nothing to make a virtual channel of"
        scope.fault("virtual", what, 'write derivations of several electrodes, or virtual = "off"')
    elif derivations and not any(peak.derivation == 0 for peak in peaks):
        what = f"no peak of the first derivation, {show_key(derivations[0].name)}, says where its response is"
        scope.fault("virtual", what, 'write a [[test.NAME.peak]] of it, or virtual = "off"')
    return written


def resolve_mains(scope: TestScope, stimulus_hz: float, response_ms: float) -> Mains:
    """Mains is fitted to what is not response, at a rate at which it is measured."""
    written: Mains = scope.value("mains") or "leave"
    if written == "leave" or not scope.fine("mains", "rate_hz", "response_ms"):
        return written
    rate_hz = scope.setup.rate_hz
    left = 1.0 - stimulus_hz * response_ms / 1e3
    if rate_hz is not None and rate_hz < MAINS_MIN_RATE_HZ:
        what = f"mains is measured from {MAINS_MIN_RATE_HZ:g} samples/s on, this case has {rate_hz:g}"
        scope.fault("mains", what, 'sample faster, or write mains = "leave"')
    elif left < LEAST_USED:
        share = f"{100 * max(left, 0.0):.0f} % of the samples"
        what = f"responses of {response_ms:g} ms at {stimulus_hz:g} Hz leave {share}"
        cure = f'mains is fitted to {100 * LEAST_USED:.0f} % or more: lower rate_hz, or write mains = "leave"'
        scope.fault("mains", what, cure)
    return written
