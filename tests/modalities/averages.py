"""The averaged modalities: each of many seeded patients whole, from electrodes to `measure`, and removed.

Each patient has amplitudes and latencies of his own, and a room of his own: between a quiet one and a loud
one. What was measured is held against two truths: latencies against the response itself, without filter and
noise (`Patient.truth`); amplitudes against the same patient without noise, in the modality's own band, since
that is what a reader compares with.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from dsp.nouns import Peak
from hostd import casefile
from hostd.case import Case, TestPlan
from hostd.modalities import MODALITIES, fill
from hostd.score.bedside import monitored
from hw.model.patient import Patient
from hw.model.scenario import Change, NoiseChange, Scenario
from hw.model.stochastic import child

LOUD = (0.06, 1.0)
"""Noise of EEG and muscle, as a share of the model patient's."""
WITHIN_MS = {"baep": 0.3, "ecochg": 0.3, "cnap": 0.3}
WITHIN_MS_ELSE = 0.5
WITHIN = 0.1
LARGE = 50.0
LONGEST_S = 60.0
"""The cortex tires: what is silent runs as long as what is not, or long enough."""
SETTLES_S = 20.0
"""Before the first sweep that counts, where mains are taken out."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One peak of one patient: what was told and what is so. `snr` is the true amplitude over the noise told.

    `late_ms`, `gain`: None where it was not `found` (or its onset not told); `removed`: what was told without
    a response.
    """

    peak: str
    snr: float
    late_ms: float | None
    gain: float | None
    removed: bool
    found: bool


def case_of(name: str) -> Case:
    """One test of a modality on the left, with every electrode that it names."""
    modality = MODALITIES[name]
    wanted = [fill(template, "left") for template in modality.derivations]
    parts = [part for one in wanted for part in one.replace("(A1+A2)/2", "A1-A2").split("-")]
    channels = list(dict.fromkeys(parts))
    roots = modality.protocol.roots
    lines = [f'name = "{name}"', "[acquisition]", f"channels = {channels}".replace("'", '"')]
    lines += ["[test.x]", f'modality = "{name}"', 'side = "left"', "line = 1"]
    lines += [f'root = "{roots[0]}"'] if roots else []
    lines += ["current_ma = 5", "area_cm2 = 0.04"] if modality.stimulus.kind == "cortical" else []
    return casefile.parse("\n".join(lines), f"{name}.toml")


def patient_of(seed: int, plan: TestPlan, loud: float, amplitude: float | None = None) -> Scenario:
    """A patient: his amplitudes and latencies, and how loud his room is; `amplitude` 0 has no responses."""
    rng = child(seed, "patient of the campaign", plan.modality)
    gain = float(rng.uniform(0.6, 1.6)) if amplitude is None else amplitude
    reach_ms = 0.02 * plan.peaks[plan.leading or 0].window_ms[0]
    changes = (Change(0.0, amplitude=gain, latency_ms=float(rng.uniform(-reach_ms, reach_ms))),)
    return Scenario(changes, (NoiseChange(0.0, emg=loud, eeg=loud, mains=1.0),))


def seconds_of(plan: TestPlan) -> float:
    """Until a whole average is there."""
    return plan.sweeps / plan.stimulus_hz + 1.5 + (SETTLES_S if plan.mains == "fit" else 0.0)


def true_ms(patient: Patient, plan: TestPlan, peak: Peak) -> float | None:
    """The latency of the response itself in the peak's derivation: that of the extreme in its window."""
    (active, *others) = _electrodes(plan, peak)
    reference = others[0] if others else None
    found = patient.truth(plan.site, (active, reference), at_s=1.0, stimulus_hz=plan.stimulus_hz)
    low, high = peak.window_ms
    fits = [t for t in found if t.sign == peak.polarity and low <= t.latency_ms <= high]
    return max(fits, key=lambda t: abs(t.amplitude_uv)).latency_ms if fits else None


def _electrodes(plan: TestPlan, peak: Peak) -> tuple[str, ...]:
    return tuple(plan.derivations[peak.derivation].name.split("-"))


def measured(
    case: Case, seed: int, scenario: Scenario, converter: bool = True
) -> tuple[dict[str, dict], Patient]:
    """The peaks of the last average by name."""
    messages, patient = monitored(case, seconds_of(case.tests[0]), seed, scenario, converter)
    last = [message for message in messages if message.topic == "measure.x"][-1]
    return {peak["name"]: peak for peak in last.fields["peaks"]}, patient


def clean_uv(case: Case, seed: int) -> dict[str, float | None]:
    """Amplitude of every peak of the same patient, so much larger that nothing else counts."""
    (plan,) = case.tests
    case = replace(case, tests=(replace(plan, reject_uv=None),))
    own = patient_of(seed, plan, 0.0).changes
    large = tuple(replace(change, amplitude=LARGE * change.amplitude) for change in own)
    silent = Scenario(large, (NoiseChange(0.0, emg=0.0, mains=0.0, eeg=1e-3),))
    messages, _ = monitored(case, min(seconds_of(plan), LONGEST_S), seed, silent, False)
    last = [message for message in messages if message.topic == "measure.x"][-1]
    told = {peak["name"]: peak["amplitude_uv"] for peak in last.fields["peaks"]}
    return {name: None if uv is None else uv / LARGE for name, uv in told.items()}


def seen(name: str, seed: int) -> list[Seen]:
    """Every peak of one patient of a modality."""
    case = case_of(name)
    (plan,) = case.tests
    loud = float(np.exp(child(seed, "loudness", name).uniform(*np.log(LOUD))))
    told, patient = measured(case, seed, patient_of(seed, plan, loud))
    removed, _ = measured(case, seed, patient_of(seed, plan, loud, 0.0))
    clean = clean_uv(case, seed)
    rows = []
    for peak in plan.peaks:
        one, truth_ms = told[peak.name], true_ms(patient, plan, peak)
        if truth_ms is None or clean[peak.name] is None:
            continue
        there = one["present"]
        rows.append(
            Seen(
                peak.name,
                clean[peak.name] / one["noise_uv"] if one["noise_uv"] else math.inf,
                one["latency_ms"] - truth_ms if there else None,
                one["amplitude_uv"] / clean[peak.name] if there else None,
                removed[peak.name]["present"],
                there,
            )
        )
    return rows
