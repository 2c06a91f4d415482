"""The keys of [test.NAME] for what is watched without a stimulus: muscle activity and EEG."""

import re
from fractions import Fraction

from dsp.emg_range import LOWEST_HZ, MOST_PHASES, OUT_HZ
from dsp.nouns import Derivation
from hostd.case import WatchPlan
from hostd.casefile_faults import show, show_key
from hostd.casefile_peaks import TestScope, resolve_derivations
from hostd.casefile_schema import TestTable

EEG_HZ = 250.0
_COMMON = ("modality", "derivations", "side")
_KEYS = {
    "emg": (*_COMMON, "band_hz", "mute_ms", "listen", "full_scale_uv", "squelch_uv"),
    "eeg": (*_COMMON, "baseline"),
}
_SIDED = re.compile(r"([A-Za-z]+)(\d+)")
_MOST_MUTE_MS = 1000
_FULL_SCALE_UV = (10, 100_000)


def resolve_watch(scope: TestScope) -> WatchPlan:
    """The watch of a table whose modality is one; keys of stimuli and sweeps are faults."""
    kind = "eeg" if scope.modality.protocol.kind == "eeg" else "emg"
    for key in TestTable.__struct_fields__:
        if key not in _KEYS[kind] and getattr(scope.table, key) is not None:
            what = f"{scope.modality.name} is watched without a stimulus"
            scope.fault(key, what, f"leave it out: keys are {', '.join(_KEYS[kind])}")
    _check_rate(scope, kind)
    derivations = resolve_derivations(scope)
    names = tuple(one.name for one in derivations)
    if kind == "eeg":
        return WatchPlan(
            name=scope.path[1],
            modality=scope.modality.name,
            kind="eeg",
            derivations=derivations,
            pairs=pairs(names),
            baseline=scope.value("baseline") or "auto",
        )
    return WatchPlan(
        name=scope.path[1],
        modality=scope.modality.name,
        kind="emg",
        derivations=derivations,
        band_hz=_band(scope),
        mute_ms=_number(scope, "mute_ms", 25.0, 0.0, _MOST_MUTE_MS),
        listen=_listen(scope, derivations),
        full_scale_uv=_number(scope, "full_scale_uv", 500.0, *_FULL_SCALE_UV),
        squelch_uv=_number(scope, "squelch_uv", 0.0, 0.0, _FULL_SCALE_UV[1]),
    )


def pairs(names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """(left, right) of derivations that mirror each other: odd numbers lie left, the next even ones right."""
    found = []
    for name in names:
        mirrored = _SIDED.sub(lambda m: m[1] + str(int(m[2]) + 1) if int(m[2]) % 2 else m[0], name)
        if mirrored != name and mirrored in names:
            found.append((name, mirrored))
    return tuple(found)


def _check_rate(scope: TestScope, kind: str) -> None:
    """Muscles need 2000 samples a second and a rate that 8 kHz is a ratio of; the EEG a multiple of 250."""
    rate_hz = scope.setup.rate_hz
    if rate_hz is None or not scope.fine("modality"):
        return
    if kind == "eeg":
        if rate_hz % EEG_HZ:
            what = f"EEG is followed at {EEG_HZ:g} samples/s, of which {rate_hz:g} is no multiple"
            scope.fault("modality", what, "sample at a multiple of 250")
        return
    if rate_hz < LOWEST_HZ:
        what = f"{scope.modality.name} needs {LOWEST_HZ:g} samples/s, this case has {rate_hz:g}"
        scope.fault("modality", what, "write [acquisition] rate_hz higher or leave it out")
    elif (OUT_HZ / Fraction(rate_hz)).numerator > MOST_PHASES:
        what = f"sound of {OUT_HZ} Hz cannot be made of {rate_hz:g} samples/s"
        scope.fault("modality", what, "sample at a multiple of 250")


def _band(scope: TestScope) -> tuple[float, float] | None:
    band = scope.value("band_hz")
    if band is None or isinstance(band, str):
        return None
    low, high = band
    if not 0 < low < high and scope.fine("band_hz"):
        cure = "write [low, high], as band_hz = [20, 3000]"
        scope.fault("band_hz", f"{low:g}..{high:g} Hz is no band", cure)
    return low, high


def _number(scope: TestScope, key: str, usual: float, least: float, most: float) -> float:
    value = scope.value(key)
    if value is not None and not least <= value <= most:
        scope.fault(key, f"{value:g} cannot be meant", f"write {least:g} to {most:g}")
    return usual if value is None else float(value)


def _listen(scope: TestScope, derivations: tuple[Derivation, ...]) -> tuple[str, ...]:
    """The derivations in the sound: those named, else all."""
    names = tuple(one.name for one in derivations)
    written = scope.table.listen
    if written is None or not scope.fine("derivations", "listen"):
        return names
    for name in written:
        if name not in names and names:
            cure = f"choose from {', '.join(map(show_key, names))}"
            scope.fault("listen", f"{show(name)} is no derivation of this test", cure)
    if not written:
        scope.fault("listen", "nothing to hear", "name derivations, or leave it out for all")
    return written
