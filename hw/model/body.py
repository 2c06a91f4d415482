"""Where the electrodes lie, and what each picks up besides responses: its region, EEG and muscle tone.

Refuses to know of channels, amplifiers or impedances: an electrode here is a place on the patient.
"""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Electrode:
    """One electrode: `region` shares muscle bursts, `eeg` is its share of scalp EEG (1 on the vertex).

    `emg_uv` is the rms of the resting muscle activity; `side` is "left", "right" or "" on the midline. `stem`
    is its place on either side, with "*" where the side stands: "CP*", "APB*1". `bursts` is its share of the
    region's: a needle pair rests in one muscle, what moves the skin over a limb is not in it.
    """

    name: str
    region: str
    side: str
    eeg: float
    emg_uv: float
    stem: str = ""
    bursts: float = 1.0

    def place(self, side: str) -> str:
        """Its place as seen from `side`: ipsilateral "i", contralateral "c" where the side stands."""
        return self.stem.replace("*", "i" if self.side == side else "c") if self.side else self.name


REGIONS = (
    "scalp",
    "neck",
    "back",
    "left arm",
    "right arm",
    "left leg",
    "right leg",
    "left face",
    "right face",
    "pelvis",
    "inside",
)

SCALP_PAIRS = (
    ("CP*", "CP3", "CP4", 2.7),
    ("C*", "C3", "C4", 2.7),
    ("Cm*", "C1", "C2", 2.4),
    ("F*", "F3", "F4", 3.0),
    ("Fp*", "Fp1", "Fp2", 3.5),
    ("Fl*", "F7", "F8", 4.0),
    ("T*", "T7", "T8", 4.5),
    ("P*", "P3", "P4", 2.7),
    ("O*", "O1", "O2", 3.0),
)
MUSCLES = {
    "arm": ("DEL", "BIC", "TRI", "APB", "ADM"),
    "leg": ("ADD", "VL", "TA", "AH", "GAS"),
    "face": ("MAS", "OOC", "OOR", "MEN", "TON", "VOC", "TRA"),
    "pelvis": ("AS",),
}
"""Muscles by region. "APBL" is one electrode over the belly, "APBL1" and "APBL2" a needle pair in it."""
STRIP_CONTACTS = 8
NEEDLE = (2.0, 0.02)
"""Resting activity in uV, and the share of bursts, of a needle in a muscle that is not used."""


def _pair(
    stem: str, left: str, right: str, region: str, eeg: float, emg_uv: float, bursts: float = 1.0
) -> Iterator[Electrode]:
    """The same electrode on both sides; in `region` "*" stands for the side."""
    for side, name in (("left", left), ("right", right)):
        yield Electrode(name, region.replace("*", side), side, eeg, emg_uv, stem, bursts)


def _lettered(stem: str, region: str, eeg: float, emg_uv: float, bursts: float = 1.0) -> Iterator[Electrode]:
    """An electrode whose side is the letter L or R."""
    yield from _pair(stem, stem.replace("*", "L"), stem.replace("*", "R"), region, eeg, emg_uv, bursts)


def _muscles() -> Iterator[Electrode]:
    for region, stems in MUSCLES.items():
        where = region if region == "pelvis" else f"* {region}"
        for stem in stems:
            for contact in ("", "1", "2"):
                yield from _lettered(f"{stem}*{contact}", where, 0.0, *(NEEDLE if contact else (3.0, 1.0)))


def _all() -> Iterator[Electrode]:
    for stem, left, right, emg_uv in SCALP_PAIRS:
        yield from _pair(stem, left, right, "scalp", 1.0, emg_uv)
    for name, emg_uv in (("CPz", 2.4), ("Cz", 2.4), ("Pz", 2.4), ("Fz", 2.7), ("Oz", 3.0), ("Fpz", 3.0)):
        yield Electrode(name, "scalp", "", 1.0, emg_uv)
    yield from _pair("A*", "A1", "A2", "scalp", 0.5, 3.0)
    yield from _pair("M*", "M1", "M2", "scalp", 0.5, 3.0)
    yield Electrode("C5S", "neck", "", 0.2, 4.0)
    yield Electrode("T12S", "back", "", 0.0, 3.5)
    yield Electrode("IC", "back", "", 0.0, 3.5)
    yield from _lettered("EP*", "* arm", 0.0, 4.0)
    for stem in ("PF*", "PF*d", "PF*p"):
        yield from _lettered(stem, "* leg", 0.0, 3.0)
    yield from _muscles()
    # Outer canthus (ERG), promontory or eardrum (ECochG), the exposed cochlear nerve (CNAP).
    yield from _lettered("ERG*", "* face", 0.5, 2.0)
    yield from _lettered("EC*", "* face", 0.2, 1.5)
    yield from _lettered("CN*", "inside", 0.1, 0.8)
    # Hooks on an exposed nerve of the arm; leads in the epidural space, rostral and caudal of the surgery.
    for contact in ("1", "2"):
        yield from _lettered(f"NAP*{contact}", "inside", 0.0, 1.0)
        yield Electrode(f"DR{contact}", "inside", "", 0.0, 1.5)
        yield Electrode(f"DC{contact}", "inside", "", 0.0, 1.5)
    # A strip across the central sulcus: contacts 1 to 4 in front of it.
    for number in range(1, STRIP_CONTACTS + 1):
        yield from _lettered(f"S*{number}", "inside", 5.0, 0.5)


# 10-20 names on the scalp, ears and mastoids, cervical (C5S) and thoracolumbar (T12S) spine, iliac crest
# (IC), Erb's point (EP), popliteal fossa (PF): facts/clinical.md 1.A.
ELECTRODES: dict[str, Electrode] = {electrode.name: electrode for electrode in _all()}


def known(name: str) -> Electrode:
    """The electrode called `name`. ValueError names some of the known ones."""
    try:
        return ELECTRODES[name]
    except KeyError:
        plain = (one for one in ELECTRODES if not one[-1].isdigit() or one[0] in "CFPOTAM")
        raise ValueError(
            f"electrode {name!r} is not on the model patient; known electrodes: {', '.join(plain)}, "
            "and needle pairs such as APBL1, APBL2"
        ) from None
