"""The model patient: electrode voltages by conversion, and responses to the stimuli it is given.

Deterministic for seed, rate, electrodes, scenario and stimuli, whatever the order of calls. Refuses to know
of counts, gains, impedances and saturation: those are the chip's. Times speak in sample periods.
"""

import math

import numpy as np
from numpy.typing import NDArray

from hw.model.anatomy import passed
from hw.model.body import known
from hw.model.brain import BrainCourse
from hw.model.evoked import LEVELS, REFERENCE_STIMULUS_HZ, Artifact, Pathway, TruePeak, Way, true_peaks
from hw.model.heart import Beat
from hw.model.motor import Emission, Responder
from hw.model.motor_units import Firing
from hw.model.muscles import MOTOR
from hw.model.pathways import MOTOR_ONLY, SILENT_WAY, WAYS
from hw.model.plugs import Plugs, on_the_patient, sources
from hw.model.scenario import NO_CHANGE, Scenario
from hw.model.sites import find
from hw.model.sources import Background
from hw.model.state import state_at
from hw.model.stochastic import child

Floats = NDArray[np.float64]

_VOLTS_PER_UV = 1e-6
# Standard deviation of the amplitude from stimulus to stimulus, by LEVELS.
_TRIAL_SD = np.array([0.02, 0.03, 0.05])
# The cortex follows the rate of the last few seconds.
_ADAPTATION_S = 3.0
# The rate a site is taken for before its first stimuli have told.
_RESTED_HZ = 0.5 / _ADAPTATION_S
# What flows when a lead is off is less.
_LEAST_MA = 0.1


class Patient:
    """Answers with volts per electrode (against the common reference) for conversion 0, 1, 2, ...

    Row k holds the input at (k - delay_samples) / rate_hz; 1.5 samples are the ADS1299's sinc3
    (facts/clinical.md 0.9). Stimulus artifacts are averaged over one conversion around that time.
    ValueError for an unknown electrode, a rate below 100 Hz, a delay below half a sample (a conversion cannot
    end before its input), mains outside 45-65 Hz or a negative seed. One thread.
    """

    def __init__(
        self,
        electrodes: tuple[str, ...],
        rate_hz: float,
        seed: int = 1,
        *,
        delay_samples: float = 1.5,
        mains_hz: float = 50.0,
        scenario: Scenario = NO_CHANGE,
    ) -> None:
        _check(electrodes, rate_hz, seed, delay_samples, mains_hz)
        self.electrodes = electrodes
        self.rate_hz = rate_hz
        self.delay_samples = delay_samples
        self.scenario = scenario
        self._plugs: list[Plugs] = sorted(scenario.plugs, key=lambda one: one.at_s)
        self._on_it = on_the_patient(self._plugs, electrodes)
        self._background = Background(
            self._on_it,
            rate_hz,
            seed,
            delay_samples=delay_samples,
            mains_hz=mains_hz,
            noise=scenario.noise,
            electrosurgery=scenario.electrosurgery,
            brain=BrainCourse(scenario.anaesthesia, scenario.lesion),
            emg=scenario.emg,
            heart=scenario.heart,
            electrode=scenario.electrode,
            interference=scenario.interference,
        )
        self._seed = seed
        self._limbs: dict[str, _Limb] = {}
        self._pending: list[tuple[int, Floats]] = []
        self._chunk = np.empty((0, len(self._on_it)))
        self._touching: Floats | None = None
        self._rows: list[list[float]] | None = None
        self._first = 0
        self._end = 0
        self._last = -1

    def read(self, index: int) -> list[float]:
        """Volts per electrode for conversion `index`. ValueError unless above every index read before."""
        if index <= self._last:
            raise ValueError(f"conversion {index} was asked for after {self._last}; read in ascending order")
        if index >= self._end:
            self._advance(index)
        self._last = index
        if self._rows is None:
            self._rows = self._shown(0, len(self._chunk)).tolist()
        return self._rows[index - self._first]

    def read_block(self, first: int, count: int) -> Floats:
        """Volts (count, electrode) of the conversions from `first` on, as `read` one after the other."""
        if first <= self._last:
            raise ValueError(f"conversion {first} was asked for after {self._last}; read in ascending order")
        volts = np.empty((count, len(self.electrodes)))
        at = first
        while at < first + count:
            if at >= self._end:
                self._advance(at)
            end = min(first + count, self._end)
            volts[at - first : end - first] = self._shown(at - self._first, end - self._first)
            at = end
        self._last = first + count - 1
        return volts

    def stimulate(
        self, at_samples: float, site: str, strength_ma: float | None = None, width_us: float | None = None
    ) -> None:
        """Deliver a pulse at `site`, its rising edge `at_samples` after the first conversion's end.

        `strength_ma` and `width_us` decide what muscles do; None: enough. What is sensory answers to any
        pulse that is delivered at all as to one that is enough.
        ValueError for an unknown site, a time before the last row read, or one before the site's last pulse.
        """
        side, nerve, polarity = find(site)
        if not (math.isfinite(at_samples) and at_samples >= max(self._last, 0)):
            raise ValueError(
                f"stimulus at sample {at_samples} comes too late: conversion {self._last} has been read; "
                "deliver each pulse before reading past it"
            )
        limb = self._limb(side, nerve)
        at_s = at_samples / self.rate_hz
        gains, added_ms = limb.deliver(at_s, self.scenario)
        reaches = strength_ma is None or strength_ma >= _LEAST_MA
        first = math.floor(at_samples + self.delay_samples - 0.5) + 1
        end_samples = limb.pathway.end_ms(added_ms) * 1e-3 * self.rate_hz
        end = math.ceil(at_samples + self.delay_samples + end_samples) + 1
        rows = np.arange(first, end, dtype=np.float64)
        times_ms = (rows - (self.delay_samples + at_samples)) * (1e3 / self.rate_hz)
        response = limb.pathway.response_uv(times_ms, gains * reaches, added_ms, polarity)
        response += limb.artifact.response_uv(times_ms, 1e3 / self.rate_hz, polarity) * reaches
        response *= _VOLTS_PER_UV
        changed = self._keep(first, response)
        for responder in limb.responders:
            emission = responder.pulse(at_s, strength_ma, width_us, self.scenario, f"{side} {nerve}")
            if emission is not None:
                changed = min(changed, self._emit(responder, emission, at_samples))
        if changed < self._end and self._rows is not None:
            here = changed - self._first
            self._rows[here:] = self._shown(here, len(self._chunk)).tolist()

    def _emit(self, responder: Responder, emission: Emission, at_samples: float) -> int:
        """Add what a muscle does; the first row changed."""
        rows_per_ms = self.rate_hz * 1e-3
        begin = at_samples + self.delay_samples + emission.begin_ms * rows_per_ms
        first = math.ceil(begin)
        end = math.ceil(begin + 1.5 * responder.target.duration_ms * rows_per_ms) + 1
        times_ms = (np.arange(first, end, dtype=np.float64) - (self.delay_samples + at_samples)) / rows_per_ms
        return self._keep(first, responder.wave_uv(times_ms, emission) * _VOLTS_PER_UV)

    def _keep(self, first: int, response: Floats) -> int:
        """Add a response now, and to later chunks when they come; the first row changed."""
        self._pending.append((first, response))
        return self._add(first, response)

    def emissions(self, site: str) -> list[tuple[float, Emission]]:
        """What muscles, nerves and cord did upon pulses at `site`: (time of the pulse, what), in order."""
        limb = self._limbs.get(site)
        told = [] if limb is None else [one for responder in limb.responders for one in responder.told]
        return sorted(told, key=lambda one: (one[0], one[1].stem, one[1].side))

    def suppressed(self, until_s: float) -> tuple[tuple[float, float], ...]:
        """Start and end in s of every suppression of the EEG before `until_s`, read or not yet."""
        return self._background.brain.suppressed(until_s)

    def fired(self, until_s: float) -> tuple[Firing, ...]:
        """The free-running EMG of recorded muscles that begins before `until_s`."""
        return self._background.emg.truth(until_s)

    def beats(self, until_s: float) -> tuple[Beat, ...]:
        """The beats of the heart that electrodes see before `until_s`."""
        return self._background.heart.beats(until_s)

    def truth(
        self,
        site: str,
        derivation: tuple[str, str | None],
        *,
        at_s: float = 0.0,
        stimulus_hz: float = REFERENCE_STIMULUS_HZ,
    ) -> list[TruePeak]:
        """The true peaks in (active, reference) at `at_s` of the scenario and a steady `stimulus_hz`.

        Without artifact and without variation from stimulus to stimulus; a reference of None is the
        common reference. ValueError for an unknown site or electrode.
        """
        side, nerve, _ = find(site)
        way = WAYS.get(nerve, SILENT_WAY)
        gains, added_ms = _state(self.scenario, side, nerve, at_s, way.gain(stimulus_hz))
        return true_peaks(way, side, derivation, gains, added_ms)

    def _limb(self, side: str, nerve: str) -> "_Limb":
        """The site's own state, made when it is first stimulated."""
        site = f"{side} {nerve}"
        if site not in self._limbs:
            self._limbs[site] = _Limb(side, nerve, self._on_it, self._seed)
        return self._limbs[site]

    def _advance(self, index: int) -> None:
        """Make the chunk that holds `index`; chunks between are lived through, since noise has a memory."""
        while index >= self._end:
            background = self._background.next_uv()
            self._first, self._end = self._end, self._end + background.shape[1]
        self._chunk = background.T * _VOLTS_PER_UV
        touching = self._background.touching
        self._touching = None if touching is None else touching.T
        self._pending = [(first, part) for first, part in self._pending if first + len(part) > self._first]
        for first, response in self._pending:
            self._add(first, response)
        self._rows = None

    def _shown(self, start: int, end: int) -> Floats:
        """Rows of the chunk as the channels show them: each its own electrode, or the one in its socket."""
        if not self._plugs:
            return self._chunk[start:end]
        shown = np.array(self._chunk[start:end, : len(self.electrodes)])
        for plugs in self._plugs:
            # What is so from 0 s on is so in the rows before it too, whose input lies before index 0.
            at = plugs.at_s * self.rate_hz + self.delay_samples if plugs.at_s > 0.0 else 0.0
            begin = min(max(math.ceil(at) - self._first, start), end)
            places = sources(plugs, self.electrodes, self._on_it)
            shown[begin - start :] = self._chunk[begin:end, places]
        return shown

    def _add(self, first: int, response: Floats) -> int:
        """Add what of `response` falls into the chunk; the first row it changed, or the chunk's end."""
        start, end = max(first, self._first), min(first + len(response), self._end)
        if start >= end:
            return self._end
        part, here = response[start - first : end - first], slice(start - self._first, end - self._first)
        self._chunk[here] += part if self._touching is None else part * self._touching[here]
        return start


class _Limb:
    """One stimulus site: its pathway, its artifact and how often it has been stimulated lately."""

    def __init__(self, side: str, nerve: str, electrodes: tuple[str, ...], seed: int) -> None:
        self._site = site = f"{side} {nerve}"
        self._side, self._nerve = side, nerve
        self._way = WAYS.get(nerve) or MOTOR_ONLY.get(nerve, SILENT_WAY)
        self.pathway = Pathway(self._way, side, electrodes)
        spread = np.array([child(seed, f"artifact {site}", name).uniform(0.6, 1.4) for name in electrodes])
        self.artifact = Artifact(self._way, side, electrodes, spread)
        sides = {"i": side, "c": "right" if side == "left" else "left", "": side}
        every = (Responder(site, t, sides[t.side], electrodes, seed) for t in MOTOR.get(nerve, ()))
        self.responders = [responder for responder in every if responder.seen]
        self._trials = child(seed, "trials", site)
        self._recent_hz = 0.0
        self._last_s = -math.inf

    def deliver(self, at_s: float, scenario: Scenario) -> tuple[Floats, Floats]:
        """Gains and added latencies by component for the pulse at `at_s`, which then counts into the rate."""
        if at_s < self._last_s:
            raise ValueError(
                f"stimulus to {self._site} at {at_s:.6f} s comes before its last one at "
                f"{self._last_s:.6f} s; deliver pulses in ascending order"
            )
        self._recent_hz *= math.exp(-(at_s - self._last_s) / _ADAPTATION_S)
        # A leaky count sampled just before a pulse lacks half a pulse of its mean, the steady rate.
        stimulus_hz = self._recent_hz + _RESTED_HZ
        self._recent_hz += 1 / _ADAPTATION_S
        self._last_s = at_s
        gains, added_ms = _state(scenario, self._side, self._nerve, at_s, self._way.gain(stimulus_hz))
        trial = 1 + _TRIAL_SD * np.clip(self._trials.standard_normal(len(LEVELS)), -3, 3)
        return gains * trial[self.pathway.level], added_ms


def _state(scenario: Scenario, side: str, nerve: str, at_s: float, cortical: float) -> tuple[Floats, Floats]:
    """Gains and added latencies in ms by component at `at_s`: changes by level, lesions on the way, and the
    patient's state as a whole."""
    way: Way = WAYS.get(nerve, SILENT_WAY)
    levels = {level: scenario.response(f"{side} {nerve}", level, at_s) for level in LEVELS}
    ways = passed(way.stations, side, scenario.lesion, at_s)
    state = state_at(scenario.anaesthesia, at_s)
    gains, added_ms = np.empty(len(way.components)), np.empty(len(way.components))
    for k, part in enumerate(way.components):
        amplitude, late_ms = levels[part.level]
        through, slowed_ms = ways[part.passes - 1] if ways else (1.0, 0.0)
        adapted = cortical if part.level == "cortical" else 1.0
        gains[k] = amplitude * adapted * through * state.amplitude(part.level)
        added_ms[k] = late_ms + slowed_ms + part.latency_ms * state.lateness(part.level)
    return gains, added_ms


def _check(
    electrodes: tuple[str, ...], rate_hz: float, seed: int, delay_samples: float, mains_hz: float
) -> None:
    """Refuse what no patient can be asked for, with one line each."""
    if not electrodes:
        raise ValueError("the model patient has no electrodes; name at least one")
    for name in electrodes:
        known(name)
    if not (math.isfinite(rate_hz) and rate_hz >= 100):
        raise ValueError(f"rate_hz = {rate_hz} is impossible; give at least 100 conversions per second")
    if seed < 0:
        raise ValueError(f"seed = {seed} is impossible; give 0 or more")
    if not (math.isfinite(delay_samples) and delay_samples >= 0.5):
        raise ValueError(
            f"delay_samples = {delay_samples} is impossible; a conversion lags 0.5 samples or more"
        )
    if not 45 <= mains_hz <= 65:
        raise ValueError(f"mains_hz = {mains_hz} is no mains; give 50 or 60")
