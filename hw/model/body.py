"""Where the electrodes lie, and what each picks up besides responses: its region, EEG and muscle tone.

Refuses to know of channels, amplifiers or impedances: an electrode here is a place on the patient.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Electrode:
    """One electrode: `region` shares muscle bursts, `eeg` is its share of scalp EEG (1 on the vertex).

    `emg_uv` is the rms of the resting muscle activity; `side` is "left", "right" or "" on the midline.
    """

    name: str
    region: str
    side: str
    eeg: float
    emg_uv: float


REGIONS = ("scalp", "neck", "back", "left arm", "right arm", "left leg", "right leg")

# 10-20 names on the scalp, ears, cervical (C5S) and thoracolumbar (T12S) spine, Erb's point (EP), popliteal
# fossa (PF), abductor pollicis brevis (APB) and abductor hallucis (AH): facts/clinical.md 1.A.
ELECTRODES: dict[str, Electrode] = {
    electrode.name: electrode
    for electrode in (
        Electrode("CP3", "scalp", "left", 1.0, 2.7),
        Electrode("CP4", "scalp", "right", 1.0, 2.7),
        Electrode("CPz", "scalp", "", 1.0, 2.4),
        Electrode("Cz", "scalp", "", 1.0, 2.4),
        Electrode("C3", "scalp", "left", 1.0, 2.7),
        Electrode("C4", "scalp", "right", 1.0, 2.7),
        Electrode("Fz", "scalp", "", 1.0, 2.7),
        Electrode("Fpz", "scalp", "", 1.0, 3.0),
        Electrode("A1", "scalp", "left", 0.5, 3.0),
        Electrode("A2", "scalp", "right", 0.5, 3.0),
        Electrode("C5S", "neck", "", 0.2, 4.0),
        Electrode("T12S", "back", "", 0.0, 3.5),
        Electrode("EPL", "left arm", "left", 0.0, 4.0),
        Electrode("EPR", "right arm", "right", 0.0, 4.0),
        Electrode("APBL", "left arm", "left", 0.0, 3.0),
        Electrode("APBR", "right arm", "right", 0.0, 3.0),
        Electrode("PFL", "left leg", "left", 0.0, 3.0),
        Electrode("PFR", "right leg", "right", 0.0, 3.0),
        Electrode("AHL", "left leg", "left", 0.0, 3.0),
        Electrode("AHR", "right leg", "right", 0.0, 3.0),
    )
}


def known(name: str) -> Electrode:
    """The electrode called `name`. ValueError names the known ones."""
    try:
        return ELECTRODES[name]
    except KeyError:
        raise ValueError(
            f"electrode {name!r} is not on the model patient; known electrodes: {', '.join(ELECTRODES)}"
        ) from None
