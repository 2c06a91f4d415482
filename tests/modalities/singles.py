"""Modalities of single responses: each of many seeded patients through the pipeline, and without responses.

Every patient has an amplitude and a room of his own; stimuli are supramaximal. Amplitudes are held against
the same patient without noise, onsets against the instant at which the muscle's first unit began.
"""

import math
from typing import Any

import numpy as np

from hostd import casefile
from hostd.case import Case
from hostd.modalities import MODALITIES, fill
from hostd.score.bedside import Shot, monitored
from hw.model.patient import Patient
from hw.model.scenario import Change, NoiseChange, Scenario
from hw.model.stochastic import child
from tests.modalities.averages import Seen

SHOTS = 4
EVERY_S = 2.17
MOST_DERIVATIONS = 4
LOUD = (0.3, 2.0)
GAIN = (0.15, 1.5)


def case_of(name: str) -> Case:
    """One test of a modality on the left; of many muscles the first few that its site moves."""
    modality = MODALITIES[name]
    wanted = [fill(template, "left").split("|")[0] for template in modality.derivations]
    roots = modality.protocol.roots
    root = "L5" if "L5" in roots else ""
    wanted = [one for one in wanted if not root or one[:2] in ("TA", "AH")][:MOST_DERIVATIONS]
    channels = list(dict.fromkeys(part for one in wanted for part in one.split("-")))
    lines = [f'name = "{name}"', "[acquisition]", f"channels = {channels}".replace("'", '"')]
    lines += ["[test.x]", f'modality = "{name}"', 'side = "left"', "line = 1", "control_pulse = false"]
    lines += [f'root = "{root}"'] if root else []
    lines += ["area_cm2 = 0.04"] if modality.stimulus.kind == "cortical" else []
    return casefile.parse("\n".join(lines), f"{name}.toml")


def shots(case: Case) -> list[Shot]:
    """Several stimuli; those that are pooled need so many before one is read."""
    pooled = case.tests[0].response.pooled if case.tests[0].response else 1
    return [Shot(1.0 + EVERY_S * k, "x") for k in range(SHOTS + pooled - 1)]


def scenario_of(name: str, seed: int, loud: float, removed: bool = False) -> Scenario:
    """A patient of his own; `removed`: nothing answers."""
    rng = child(seed, "patient of single responses", name)
    gain = math.exp(rng.uniform(*np.log(GAIN)))
    quiet = NoiseChange(0.0, emg=loud, eeg=loud, mains=1.0 if loud > 0.0 else 0.0)
    return Scenario((Change(0.0, response="motor", amplitude=0.0 if removed else gain),), (quiet,))


def told(
    case: Case, seed: int, scenario: Scenario, converter: bool = True
) -> tuple[list[dict[str, Any]], Patient]:
    """Every stimulus's answers."""
    asked = shots(case)
    messages, patient = monitored(case, asked[-1].at_s + 1.5, seed, scenario, converter, asked)
    return [message.fields for message in messages if message.topic == "response.x"], patient


def began_ms(case: Case, patient: Patient) -> dict[tuple[int, str], float]:
    """When each muscle's answer to each stimulus began; an M wave before what is looked for is none."""
    first: dict[tuple[int, str], float] = {}
    response = case.tests[0].response
    sought_ms = response.search_ms[0] if response else 0.0
    told = patient.emissions(case.tests[0].site)
    for at_s, one in sorted(told, key=lambda each: each[0] * 1e3 + each[1].begin_ms):
        shot = round((at_s - 1.0) / EVERY_S)
        began = (at_s - 1.0 - EVERY_S * shot) * 1e3 + one.begin_ms
        if one.uv > 5.0 and began >= sought_ms:
            first.setdefault((shot, f"{one.stem}{one.side[0].upper()}"), began)
    return first


def seen(name: str, seed: int) -> list[Seen]:
    """Every answer of one patient."""
    case = case_of(name)
    loud = math.exp(child(seed, "loudness", name).uniform(*np.log(LOUD)))
    found, patient = told(case, seed, scenario_of(name, seed, loud))
    removed, _ = told(case, seed, scenario_of(name, seed, loud, True))
    clean, _ = told(case, seed, scenario_of(name, seed, 0.0), False)
    begun = began_ms(case, patient)
    pooled = case.tests[0].response.pooled if case.tests[0].response else 1
    rows = []
    for shot, (one, without, still) in enumerate(zip(found, removed, clean, strict=True)):
        if shot < pooled - 1:
            continue
        for k, row in enumerate(one["responses"]):
            true_uv = still["responses"][k]["amplitude_uv"]
            if true_uv is None or not row["noise_uv"]:
                continue
            muscle = row["name"].split("1")[0]
            onset = begun.get((shot, muscle)) if pooled == 1 else None
            late = row["onset_ms"] - onset if row["onset_ms"] is not None and onset is not None else None
            gain = row["amplitude_uv"] / true_uv if row["present"] else None
            large = true_uv >= 1.5 * case.tests[0].smallest_uv
            snr = true_uv / row["noise_uv"] if large else 0.0
            rows.append(Seen(name, snr, late, gain, without["responses"][k]["present"], row["present"]))
    return rows
