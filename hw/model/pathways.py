"""The sensory pathways of the model patient: what stimulation of each site evokes, as tables.

Latencies, places and amplitudes: facts/clinical.md 1.A and 1.C. Owns the sites' names; the arithmetic is
`hw.model.evoked`'s.
"""

from collections.abc import Iterable
from dataclasses import replace

from hw.model.anatomy import VERTEBRAE, Station
from hw.model.evoked import Component, Way


def _cord(tract: str, first: str, last: str, side: str = "i") -> Station:
    """Vertebrae `first` (rostral) to `last` (caudal) of one tract."""
    return Station("cord", side, tract, (VERTEBRAE[first], VERTEBRAE[last]))  # type: ignore[arg-type]


# P14 and N18 are far fields, alike over the scalp; P37 and N45 lie paradoxically towards the stimulated side.
# Where neighbours overlap, the latency is the one that puts the extreme of CPc-CPi (N20) and CPz-Fpz (P37) at
# 20.0 and 38.0 ms. The strip lies across the central sulcus: N20 behind it, its mirror image before it.
_STRIP_N20 = {
    "Sc1": 4.0,
    "Sc2": 10.0,
    "Sc3": 19.0,
    "Sc4": 28.0,
    "Sc5": -33.0,
    "Sc6": -22.0,
    "Sc7": -12.0,
    "Sc8": -5.0,
}
_STRIP_P25 = {place: -0.8 * uv for place, uv in _STRIP_N20.items()}
_MEDIAN = (
    Component("N9", "peripheral", 9.5, 0.75, {"EPi": -2.6, "EPc": -0.1}, 1),
    Component("N13", "subcortical", 13.3, 0.9, {"C5S": -1.5}, 3),
    Component("P14", "subcortical", 14.3, 0.8, {"scalp": 0.6, "Fpz": 0.5, "C5S": 0.0}, 4),
    Component("N18", "subcortical", 18.0, 2.2, {"scalp": -0.6, "Fpz": -0.5, "C5S": 0.0}, 5),
    Component(
        "N20",
        "cortical",
        20.065,
        1.3,
        {"CPc": -1.55, "Cc": -0.8, "CPz": -0.4, "CPi": -0.05, "Fz": 0.4, **_STRIP_N20},
        6,
    ),
    Component(
        "P25",
        "cortical",
        24.5,
        1.7,
        {"CPc": 1.45, "Cc": 1.1, "CPz": 0.4, "CPi": 0.05, "Fz": -0.3, **_STRIP_P25},
        6,
    ),
    Component("N32", "cortical", 32.0, 3.0, {"CPc": -0.55, "Cc": -0.5, "CPz": -0.2}, 6),
)
_TIBIAL = (
    Component("PF", "peripheral", 8.0, 0.75, {"PFi": -2.2, "PFid": -2.2, "PFip": 0.3}, 1),
    Component("LP", "subcortical", 22.0, 1.1, {"T12S": -0.9}, 2),
    Component("P31", "subcortical", 30.5, 1.1, {"scalp": 0.55, "Fpz": 0.45, "C5S": -0.1}, 3),
    Component("N34", "subcortical", 33.8, 1.4, {"scalp": -0.55, "Fpz": -0.45, "C5S": 0.0}, 4),
    Component(
        "P37",
        "cortical",
        38.055,
        2.1,
        {"CPz": 1.5, "CPi": 1.3, "Cz": 1.1, "Ci": 0.6, "CPc": -0.5, "Pz": 0.8},
        5,
    ),
    Component(
        "N45",
        "cortical",
        46.0,
        2.8,
        {"CPz": -1.3, "CPi": -1.0, "Cz": -1.0, "Ci": -0.5, "CPc": 0.3, "Pz": -0.7},
        5,
    ),
)


def _arm(root: dict[str, float]) -> tuple[Station, ...]:
    """From the wrist to the hand's cortex; N13 arises where the arm's roots enter, at C5 to C7."""
    return (
        Station("arm"),
        Station("root", roots=root),
        _cord("dorsal", "C6", "C7"),
        _cord("dorsal", "C1", "C5"),
        Station("brainstem", "c", "dorsal"),
        Station("cortex", "c"),
    )


def _leg(root: dict[str, float]) -> tuple[Station, ...]:
    """From the ankle to the foot's cortex; the lumbar potential arises at T12."""
    return (
        Station("leg"),
        Station("root", roots=root),
        _cord("dorsal", "C1", "L1"),
        Station("brainstem", "c", "dorsal"),
        Station("cortex", "c"),
    )


# Cortical amplitude against the stimulus rate, relative to 1.05 Hz: facts/clinical.md 0.4.
_RATES_HZ = (1.05, 2.79, 5.69, 8.44)
_ARM_LEFT = (1.0, 0.721, 0.512, 0.462)
_LEG_LEFT = (1.0, 0.697, 0.462, 0.432)
# The stimulated limb's own electrodes, wrist or ankle first, and how much larger the artifact is there.
_ARM_NEAR = {"APB": 10.0, "ADM": 10.0, "EP": 2.0}
_LEG_NEAR = {"AH": 10.0, "PF": 4.0, "T12S": 1.5}


def _moved(parts: Iterable[Component], later_ms: float, gain: float) -> tuple[Component, ...]:
    """The same components `later_ms` later and `gain` times as large."""
    return tuple(
        replace(
            part,
            latency_ms=part.latency_ms + later_ms,
            at_uv={place: gain * uv for place, uv in part.at_uv.items()},
        )
        for part in parts
    )


def _dermatome(root: str, latency_ms: float, gain: float) -> Way:
    """Skin of one root: nothing but the cortex is large enough to be seen."""
    arm = root.startswith("C")
    cortical = [part for part in (_MEDIAN if arm else _TIBIAL) if part.level == "cortical"]
    later_ms = latency_ms - cortical[0].latency_ms
    parts = _moved(cortical, later_ms, gain)
    if arm:
        return Way(parts, _arm({root: 1.0}), _RATES_HZ, _ARM_LEFT, {"APB": 6.0, "ADM": 6.0})
    return Way(parts, _leg({root: 1.0}), _RATES_HZ, _LEG_LEFT, {"AH": 6.0, "TA": 6.0})


# Behind an insert tube of 0.9 ms; positive at the vertex. The microphonic follows the polarity of the click.
_EARS_QUIET = dict.fromkeys(("Ai", "Ac", "Mi", "Mc"), 0.0)
_EAR = (
    *(
        Component("CM", "peripheral", 1.1 + 0.2 * k, 0.07, {"ECi": (-1) ** k * size}, 1, True)
        for k, size in enumerate((3.0, 5.0, 6.0, 5.0, 4.0, 2.5))
    ),
    Component("SP", "peripheral", 2.15, 0.3, {"ECi": -2.5}, 1),
    Component("N1", "peripheral", 2.6, 0.2, {"ECi": -9.0}, 1),
    Component(
        "I", "peripheral", 2.6, 0.2, {"Ai": -0.24, "Mi": -0.24, "scalp": 0.02, "Ac": 0.0, "Mc": 0.0}, 1
    ),
    Component("CN-P", "peripheral", 3.0, 0.16, {"CNi": 9.0}, 1),
    Component("CN-N1", "peripheral", 3.4, 0.22, {"CNi": -38.0}, 1),
    Component("N2", "peripheral", 3.6, 0.25, {"ECi": -2.5}, 1),
    Component("II", "subcortical", 3.65, 0.22, {"scalp": 0.08, **_EARS_QUIET, "Ai": -0.04, "Mi": -0.04}, 2),
    Component("CN-N2", "peripheral", 4.2, 0.3, {"CNi": 10.0}, 1),
    Component("III", "subcortical", 4.7, 0.25, {"scalp": 0.17, **_EARS_QUIET, "Ai": -0.05, "Mi": -0.05}, 3),
    Component("IV", "subcortical", 5.7, 0.2, {"scalp": 0.12, **_EARS_QUIET}, 3),
    Component("V", "subcortical", 6.55, 0.31, {"scalp": 0.34, **_EARS_QUIET}, 3),
    Component("SN10", "subcortical", 7.9, 0.6, {"scalp": -0.16, **_EARS_QUIET}, 3),
)
_EYE = (
    Component("a", "peripheral", 18.0, 4.0, {"ERGi": -9.0}, 1),
    Component("b", "peripheral", 46.0, 8.0, {"ERGi": 36.0}, 1),
    Component("N75", "cortical", 76.0, 7.0, {"Oz": -3.6, "Oi": -2.6, "Oc": -2.6, "Pz": -0.8}, 3),
    Component("P100", "cortical", 104.0, 10.0, {"Oz": 7.0, "Oi": 5.4, "Oc": 5.4, "Pz": 2.0}, 3),
    Component("N145", "cortical", 145.0, 15.0, {"Oz": -4.0, "Oi": -3.0, "Oc": -3.0, "Pz": -1.0}, 3),
)
# One pair of a strip stimulated, the far contacts of the same hemisphere answer.
_CORTEX = (
    Component("N1", "cortical", 24.0, 5.0, {"Si5": -70.0, "Si6": -150.0, "Si7": -190.0, "Si8": -90.0}, 1),
    Component("N2", "cortical", 140.0, 38.0, {"Si5": -50.0, "Si6": -90.0, "Si7": -110.0, "Si8": -60.0}, 1),
)

WAYS: dict[str, Way] = {
    "median": Way(_MEDIAN, _arm({"C6": 0.5, "C7": 0.5}), _RATES_HZ, _ARM_LEFT, _ARM_NEAR),
    "tibial": Way(_TIBIAL, _leg({"L5": 0.3, "S1": 0.7}), _RATES_HZ, _LEG_LEFT, _LEG_NEAR),
    "ulnar": Way(_moved(_MEDIAN, 1.25, 0.85), _arm({"C8": 0.8, "T1": 0.2}), _RATES_HZ, _ARM_LEFT, _ARM_NEAR),
    "C6": _dermatome("C6", 22.5, 0.5),
    "C7": _dermatome("C7", 23.0, 0.5),
    "C8": _dermatome("C8", 23.5, 0.5),
    "L4": _dermatome("L4", 46.0, 0.45),
    "L5": _dermatome("L5", 49.0, 0.45),
    "S1": _dermatome("S1", 51.0, 0.45),
    "ear": Way(
        _EAR,
        (Station("cochlea"), Station("cochlear nerve"), Station("brainstem")),
        near={"EC": 1.0},
        artifact=0.02,
    ),
    "eye": Way(_EYE, (Station("retina"), Station("optic nerve"), Station("cortex", "")), artifact=0.0),
    "cortex": Way(_CORTEX, (Station("cortex"),), near={"S": 8.0}),
}
# What is nothing but motor: its artifact alone. Over the skull it is the largest there is.
_SCALP = dict.fromkeys(("C", "CP", "F", "P", "Cz", "CPz", "Fz", "Cm"), 60.0)
_FACE = dict.fromkeys(("MAS", "OOC", "OOR", "MEN", "TON", "VOC", "TRA"), 3.0)
MOTOR_ONLY: dict[str, Way] = {
    "hemisphere": Way((), near={**_SCALP, **_FACE}, artifact=1.2),
    "motor cortex": Way((), near={"S": 30.0}, artifact=1.0),
    "facial nerve": Way((), near={"OOC": 4.0, "OOR": 4.0, "MEN": 4.0}, artifact=0.3),
    "vagus nerve": Way((), near={"VOC": 4.0}, artifact=0.3),
    "popliteal": Way((), near={"GAS": 3.0}),
    "nerve": Way((), near={"NAP": 3.0}, artifact=0.2),
}
SILENT_WAY = Way((), artifact=0.4)
