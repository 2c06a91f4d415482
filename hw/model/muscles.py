"""What stimulation of each motor site makes muscles and nerves do, as tables.

Latencies, sizes and thresholds in round figures after facts/clinical.md 1.A, 1.C and 1.D: a model to teach
and to test with. Owns the sites' names; what a stimulus of some strength makes of them is `hw.model.motor`'s.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from hw.model.anatomy import VERTEBRAE, Station


@dataclass(frozen=True, slots=True)
class Innervation:
    """How the brain reaches a muscle: the vertebra at which its motor cells lie (0: in the brainstem), the
    shares of its roots, the limb, and when it answers a train over the motor cortex."""

    vertebra: int
    roots: Mapping[str, float]
    limb: str
    onset_ms: float
    uv: float
    threshold_ma: float


INNERVATION: dict[str, Innervation] = {
    "DEL": Innervation(5, {"C5": 0.7, "C6": 0.3}, "arm", 13.0, 500.0, 95.0),
    "BIC": Innervation(5, {"C5": 0.5, "C6": 0.5}, "arm", 14.0, 500.0, 90.0),
    "TRI": Innervation(7, {"C7": 0.7, "C8": 0.3}, "arm", 15.0, 400.0, 95.0),
    "APB": Innervation(8, {"C8": 0.5, "T1": 0.5}, "arm", 22.5, 1200.0, 75.0),
    "ADM": Innervation(8, {"C8": 0.6, "T1": 0.4}, "arm", 22.8, 1000.0, 78.0),
    "ADD": Innervation(VERTEBRAE["T11"], {"L2": 0.3, "L3": 0.4, "L4": 0.3}, "leg", 23.0, 200.0, 120.0),
    "VL": Innervation(VERTEBRAE["T11"], {"L2": 0.2, "L3": 0.4, "L4": 0.4}, "leg", 24.0, 250.0, 115.0),
    "TA": Innervation(VERTEBRAE["T12"], {"L4": 0.3, "L5": 0.7}, "leg", 31.0, 500.0, 105.0),
    "GAS": Innervation(VERTEBRAE["L1"], {"S1": 0.7, "S2": 0.3}, "leg", 32.0, 250.0, 115.0),
    "AH": Innervation(VERTEBRAE["L1"], {"L5": 0.2, "S1": 0.4, "S2": 0.4}, "leg", 40.0, 600.0, 105.0),
    "AS": Innervation(VERTEBRAE["L1"], {"S2": 0.4, "S3": 0.4, "S4": 0.2}, "", 28.0, 120.0, 115.0),
    "MAS": Innervation(0, {}, "", 10.5, 300.0, 95.0),
    "OOC": Innervation(0, {}, "facial nerve", 11.5, 250.0, 95.0),
    "OOR": Innervation(0, {}, "facial nerve", 12.0, 350.0, 90.0),
    "MEN": Innervation(0, {}, "facial nerve", 12.5, 300.0, 92.0),
    "TON": Innervation(0, {}, "", 11.0, 300.0, 95.0),
    "VOC": Innervation(0, {}, "vagus nerve", 13.5, 200.0, 98.0),
    "TRA": Innervation(2, {}, "", 12.0, 400.0, 90.0),
}


@dataclass(frozen=True, slots=True)
class Target:
    """One place that answers: a muscle (by stem), a nerve or the cord (by the stems of its electrodes).

    `side`: on that of the stimulus or the other one; "" in the middle. `stations` lie between, sides as seen
    from the target. `uv` peak to peak at most, `threshold_ma` where half of it answers, within about `slope`
    of that; `over_ma` where it goes again (0: never). `cv`: from trial to trial. `facilitates`: single pulses
    do little, trains sum. `muscle`: relaxants count; `central`: depth and fade do.
    `width_us`: that of the pulses of which `threshold_ma` speaks. `spread`: reached by accident, by more
    current than is usual and not at a threshold that a scenario gives its site.
    """

    stem: str
    side: Literal["i", "c", ""]
    onset_ms: float
    duration_ms: float
    uv: float
    threshold_ma: float
    stations: tuple[Station, ...] = ()
    slope: float = 0.08
    cv: float = 0.05
    facilitates: bool = False
    central: bool = False
    muscle: bool = True
    over_ma: float = 0.0
    width_us: float = 200.0
    spread: bool = False


def _down(stem: str) -> tuple[Station, ...]:
    """From the cortex to a muscle."""
    to = INNERVATION[stem]
    way = [Station("cortex", "c"), Station("capsule", "c", "motor"), Station("brainstem", "c", "motor")]
    if to.vertebra:
        way.append(Station("cord", "i", "motor", (1, to.vertebra)))
    return (*way, *_out(stem))


def _out(stem: str) -> tuple[Station, ...]:
    """From the motor cells to a muscle."""
    to = INNERVATION[stem]
    roots = (Station("root", roots=to.roots),) if to.roots else ()
    return (*roots, Station(to.limb)) if to.limb else roots


def _hemisphere(threshold: float = 1.0, width_us: float = 500.0) -> tuple[Target, ...]:
    """A train over one motor cortex: the other side answers, and the D wave runs down the cord."""
    muscles = tuple(
        Target(
            stem,
            "c",
            to.onset_ms,
            16.0,
            to.uv,
            threshold * to.threshold_ma,
            _down(stem),
            cv=0.3,
            facilitates=True,
            central=True,
            width_us=width_us,
        )
        for stem, to in INNERVATION.items()
    )
    top = (Station("cortex", ""), Station("capsule", "", "motor"), Station("brainstem", "", "motor"))
    waves = tuple(
        Target(
            stem,
            "",
            onset_ms,
            3.0,
            uv,
            threshold * 60.0,
            (*top, Station("cord", "", "motor", (1, vertebra))),
            slope=0.15,
            cv=0.04,
            muscle=False,
            width_us=width_us,
        )
        # The rostral lead lies at T3, the caudal one at T10.
        for stem, onset_ms, uv, vertebra in (("DR", 4.2, 26.0, 10), ("DC", 6.4, 16.0, 17))
    )
    return (*muscles, *waves)


def _root(root: str) -> tuple[Target, ...]:
    """A screw beside a root: its muscles answer directly, at the threshold that the screw has."""
    latency_ms = {"arm": 8.0, "leg": 13.0, "": 9.0}
    return tuple(
        Target(
            stem,
            "i",
            latency_ms[to.limb] + 0.25 * (to.onset_ms - 20.0),
            10.0,
            3000.0 * share,
            12.0,
            _out(stem),
        )
        for stem, to in INNERVATION.items()
        if (share := to.roots.get(root, 0.0)) >= 0.2
    )


_FACIAL_MS = (("OOC", 5.0), ("OOR", 5.5), ("MEN", 6.0))
"""When the muscles of the face answer their nerve."""


def _facial_spread() -> tuple[Target, ...]:
    """Strong current over the scalp reaches the facial nerve itself: its muscles answer each pulse, also a
    single one (Dong et al., Clin Neurophysiol 2005;116:588)."""
    return tuple(
        Target(
            stem,
            "c",
            onset_ms,
            8.0,
            900.0,
            2.2 * INNERVATION[stem].threshold_ma,
            (Station("facial nerve"),),
            width_us=500.0,
            spread=True,
        )
        for stem, onset_ms in _FACIAL_MS
    )


SCREW_ROOTS = ("C5", "C6", "C7", "C8", "L2", "L3", "L4", "L5", "S1")


def _m_wave(stem: str, onset_ms: float, uv: float, threshold_ma: float = 12.0) -> Target:
    return Target(stem, "i", onset_ms, 9.0, uv, threshold_ma, (Station(INNERVATION[stem].limb),), cv=0.02)


MOTOR: dict[str, tuple[Target, ...]] = {
    "hemisphere": (*_hemisphere(), *_facial_spread()),
    # Directly on the cortex, and under it: a tenth of the current.
    "motor cortex": tuple(t for t in _hemisphere(0.1) if INNERVATION.get(t.stem) is not None),
    "motor tract": tuple(t for t in _hemisphere(0.08) if INNERVATION.get(t.stem) is not None),
    "median": (_m_wave("APB", 3.6, 7000.0),),
    "ulnar": (_m_wave("ADM", 3.4, 7000.0),),
    "tibial": (_m_wave("AH", 4.4, 8000.0),),
    "popliteal": (
        _m_wave("GAS", 5.5, 9000.0, 18.0),
        # The H reflex comes before the M wave and goes with it.
        Target(
            "GAS",
            "i",
            30.5,
            10.0,
            2500.0,
            9.0,
            (Station("leg"), Station("root", roots={"S1": 1.0}), Station("cord", "i", "", (20, 20))),
            cv=0.12,
            central=True,
            over_ma=24.0,
        ),
    ),
    "pudendal": tuple(
        Target(
            "AS",
            side,
            36.0,
            14.0,
            90.0,
            15.0,
            (Station("root", roots={"S2": 0.4, "S3": 0.4, "S4": 0.2}), Station("cord", "i", "", (20, 20))),
            cv=0.2,
            facilitates=True,
            central=True,
        )
        for side in ("i", "c")
    ),
    "facial nerve": tuple(
        Target(stem, "i", onset_ms, 8.0, 900.0, 0.2, (Station("facial nerve"),))
        for stem, onset_ms in _FACIAL_MS
    ),
    "vagus nerve": (Target("VOC", "i", 6.5, 8.0, 600.0, 0.5, (Station("vagus nerve"),)),),
    # The branch to the eye stimulated: with a nerve in spasm the chin answers too, 10 ms later.
    "zygomatic": (
        Target("OOC", "i", 3.6, 8.0, 900.0, 5.0, ()),
        Target("MEN", "i", 10.5, 8.0, 250.0, 6.0, (Station("facial nerve"),), cv=0.15),
    ),
    "nerve": (Target("NAP", "i", 1.4, 1.6, 250.0, 1.5, (Station("arm"),), cv=0.03, muscle=False),),
    **{f"screw {root}": _root(root) for root in SCREW_ROOTS},
}
