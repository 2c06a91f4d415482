"""Real sweeps of the mouse auditory brainstem response, laid end to end as a recording."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import edfio
import numpy as np
import pytest
from numpy.typing import NDArray

Kind = Literal["edf-trigger", "edf-annotations", "bdf-trigger", "bdf-annotations"]

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "abr_mouse_sweeps.npz"
RATE_HZ = 24414
SWEEP_SAMPLES = 366
CHANNEL = "ABR"
TRIGGER = "Stim"
ANNOTATION = "click"
RECORD_S = 0.5
FULL_SCALE_UV = 200.0


@dataclass(frozen=True, slots=True)
class MouseAbr:
    """What was written: `uv` (time,), sweep k from sample 366 k on, padded with zeros to whole records."""

    uv: NDArray[np.float64]
    n_sweeps: int

    @property
    def trigger_indices(self) -> NDArray[np.int64]:
        return SWEEP_SAMPLES * np.arange(self.n_sweeps)


def sweeps_80db_uv() -> NDArray[np.float64]:
    """(sweep, time) microvolts; skips the test where the data are absent."""
    if not DATA.exists():
        pytest.skip(f"no real recordings at {DATA}")
    with np.load(DATA) as data:
        return data["uv_80db"].astype(np.float64)


def write_mouse_abr(path: Path, kind: Kind) -> MouseAbr:
    """Write the 80 dB sweeps to `path` with edfio, as EDF+ or BDF+, triggers as a signal or as annotations.

    Channel "ABR" in uV; signal "Stim" holds 1 for four samples from each stimulus on, or an annotation
    "click" stands at it.
    """
    sweeps = sweeps_80db_uv()
    n_used, per_record = sweeps.size, round(RATE_HZ * RECORD_S)
    uv = np.zeros(-(-n_used // per_record) * per_record)
    uv[:n_used] = sweeps.ravel()
    laid = MouseAbr(uv, len(sweeps))
    onsets = laid.trigger_indices
    form, source = kind.split("-")
    signal_class, file_class, top = {
        "edf": (edfio.EdfSignal, edfio.Edf, 2**15),
        "bdf": (edfio.BdfSignal, edfio.Bdf, 2**23),
    }[form]
    signals = [
        signal_class(
            uv,
            RATE_HZ,
            label=CHANNEL,
            physical_dimension="uV",
            physical_range=(-FULL_SCALE_UV, FULL_SCALE_UV),
            digital_range=(-top, top - 1),
        )
    ]
    annotations = []
    if source == "trigger":
        stim = np.zeros(len(uv))
        for k in range(4):
            stim[onsets + k] = 1
        signals.append(
            signal_class(stim, RATE_HZ, label=TRIGGER, physical_range=(0, 255), digital_range=(-top, top - 1))
        )
    else:
        annotations = [edfio.EdfAnnotation(float(index / RATE_HZ), None, ANNOTATION) for index in onsets]
    file_class(signals, data_record_duration=RECORD_S, annotations=annotations).write(path)
    return laid
