"""Free-running EMG: events told as they happen, cumulative train time, a wave to look at, a sound to hear.

Owns which samples are muted (stimuli, electrosurgery) and the words of events; detection and sound are dsp's.
What cannot be heard is told as muted time and never as silence of the nerve.
"""

import math

import numpy as np
from numpy.typing import NDArray

from dsp.emg_audio import EmgAudio, Packet
from dsp.emg_frames import FRAME_S
from dsp.emg_range import OUT_HZ
from dsp.emg_verdict import EmgEvent
from dsp.filters import band_pass
from dsp.free_emg import FreeEmgDetector
from dsp.nouns import Trigger
from dsp.stream import Scale, Stream
from hostd.case import WatchPlan
from hostd.outgoing import Outgoing, finite
from hostd.surgery import ELECTROSURGERY

BEFORE_S = 0.001
FADES_S = 0.3
LATE_S = 0.05
WAVE_S, WAVE_HZ = 0.1, 1000.0
MOST_S = 1.0
_WORDS = {"spike": "a spike", "burst": "a burst", "tonic": "tonic activity, light anaesthesia?"}


class EmgWatch:
    """Listens to the derivations of one watch; `mutes` is for how long each line's stimuli mute, in samples.

    Raises ValueError for a rate that it cannot be done at.
    """

    def __init__(self, plan: WatchPlan, rate_hz: float, scale: Scale, mutes: dict[int, int]) -> None:
        self.plan, self._rate_hz, self._mutes = plan, rate_hz, mutes
        self._names = tuple(d.name for d in plan.derivations)
        low_hz, high_hz = plan.band_hz or (20.0, 0.45 * rate_hz)
        most = math.ceil(MOST_S * rate_hz)
        sos = band_pass(low_hz, min(high_hz, 0.45 * rate_hz), rate_hz)
        self._stream = Stream(plan.derivations, scale, sos, 0, 1, most)
        self._detector = FreeEmgDetector(rate_hz, len(self._names), LATE_S)
        weights = tuple(float(name in plan.listen) for name in self._names)
        self._before = round(BEFORE_S * rate_hz)
        self._audio = EmgAudio(rate_hz, weights, plan.full_scale_uv, plan.squelch_uv, self._before)
        self._fades = round(FADES_S * rate_hz)
        self._bin = max(1, round(rate_hz / WAVE_HZ))
        self._wave_rows = self._bin * max(1, round(WAVE_S * rate_hz / self._bin))
        self._rows = self._heard = np.empty((0, len(self._names)))
        self._frame = round(FRAME_S * rate_hz)
        self._first = 0

    @property
    def max_block(self) -> int:
        """As `hostd.watching`."""
        return self._stream.max_block

    def restart(self, index: int) -> list[Outgoing]:
        """The signal begins anew at `index`: what was open ends there, cut."""
        end = self._stream.end
        told = self._rest() + [self._event(event, end) for event in self._detector.restart(index)]
        self._stream.restart(index)
        self._rows, self._first = self._rows[:0], index
        return told

    def exclude(self, first: int, end: int | None, reason: str) -> None:
        """Neither judged nor heard; what electrosurgery leaves behind it takes its time to fade."""
        if end is not None and reason == ELECTROSURGERY:
            end += self._fades
        self._detector.exclude(first, end)
        self._audio.exclude(first, end)

    def append(self, counts: NDArray[np.int32], triggers: list[Trigger]) -> list[Outgoing]:
        """The next contiguous samples and all stimuli (any line) in them."""
        for trigger in triggers:
            if length := self._mutes.get(trigger.line, 0):
                self.exclude(trigger.index - self._before, trigger.index + length, "stimulus")
        first = self._stream.end
        self._stream.append(counts, [])
        uv = self._stream.rows(first, self._stream.end).astype(np.float64)
        told = self._listen(first, uv)
        told += [self._packet(packet) for packet in self._audio.append(first, uv)]
        return told + self._wave(uv)

    def _listen(self, first: int, uv: NDArray[np.float64]) -> list[Outgoing]:
        """Events, a frame at a time: what is told beside one (train time) is then of that frame's end,
        however the samples were cut."""
        self._heard = np.concatenate([self._heard, uv])
        begun = first + len(uv) - len(self._heard)
        told: list[Outgoing] = []
        while True:
            end = (begun // self._frame + 1) * self._frame - begun
            if end > len(self._heard):
                return told
            events = self._detector.append(begun, self._heard[:end])
            self._heard, begun = self._heard[end:], begun + end
            told += [self._event(event, begun) for event in events]

    def finish(self) -> list[Outgoing]:
        """What was open ends with the samples."""
        end = self._stream.end
        return self._rest() + [self._event(event, end) for event in self._detector.restart(end)]

    def _rest(self) -> list[Outgoing]:
        """Events in the last part of a frame."""
        rows, self._heard = self._heard, self._heard[:0]
        if not len(rows):
            return []
        end = self._stream.end
        return [self._event(event, end) for event in self._detector.append(end - len(rows), rows)]

    def set_baseline(self, index: int) -> list[Outgoing]:
        """There is none: silence is what muscle activity is compared with."""
        raise ValueError(f"{self.plan.name} has no baseline: muscle activity is compared with silence")

    def clear_baseline(self, index: int) -> list[Outgoing]:
        """There is none."""
        return self.set_baseline(index)

    def _event(self, event: EmgEvent, told_at: int) -> Outgoing:
        """An event as it is told at sample `told_at`, which lies behind its end."""
        name = self._names[event.derivation]
        a_train_s = float(self._detector.a_train_s[event.derivation])
        seconds = (event.end - event.first) / self._rate_hz
        what = f"{event.train}-train" if event.kind == "train" else _WORDS[event.kind]
        rate = "" if event.rate_hz is None else f", {event.rate_hz:.0f}/s"
        lasts = f"{seconds:.1f} s" if event.kind in ("train", "tonic") else f"{1e3 * seconds:.0f} ms"
        text = f"{name}: {what}, {'for' if event.ongoing else 'of'} {lasts}{rate}"
        if event.kind == "train" and event.train == "A":
            text += f", A-trains {a_train_s:.1f} s in all"
        fields = {
            "test": self.plan.name,
            "derivation": name,
            "kind": event.kind,
            "train": event.train,
            "first_index": event.first,
            "end_index": event.end,
            "ongoing": event.ongoing,
            "peak_to_peak_uv": event.peak_to_peak_uv,
            "rms_uv": event.rms_uv,
            "noise_uv": finite(event.noise_uv),
            "discharges": event.discharges,
            "rate_hz": event.rate_hz,
            "rate_se_hz": event.rate_se_hz,
            "regularity": event.regularity,
            "channels_active": event.channels_active,
            "cut_first": event.cut_first,
            "cut_end": event.cut_end,
            "a_train_s": a_train_s,
            "muted_s": float(self._detector.muted_s[event.derivation]),
            "text": text,
        }
        return Outgoing("emg", told_at, fields)

    def _packet(self, packet: Packet) -> Outgoing:
        fields = {
            "test": self.plan.name,
            "derivations": list(self.plan.listen),
            "rate_hz": float(OUT_HZ),
            "first_index": packet.first,
            "samples": packet.samples,
            "full_scale_uv": self.plan.full_scale_uv,
            "silent": packet.silent,
        }
        at = round((packet.first + len(packet.samples)) * self._rate_hz / OUT_HZ)
        return Outgoing("emg.audio", at, fields)

    def _wave(self, uv: NDArray[np.float64]) -> list[Outgoing]:
        """The highest and lowest of every millisecond, a tenth of a second at a time."""
        self._rows = np.concatenate([self._rows, uv])
        told: list[Outgoing] = []
        # On the grid of absolute indices, so that blocks leave no trace.
        while True:
            start = -(-self._first // self._wave_rows) * self._wave_rows
            end = start + self._wave_rows
            if end > self._first + len(self._rows):
                return told
            rows = self._rows[start - self._first : end - self._first]
            bins = rows.reshape(-1, self._bin, rows.shape[1])
            fields = {
                "test": self.plan.name,
                "modality": self.plan.modality,
                "derivations": list(self._names),
                "rate_hz": self._rate_hz / self._bin,
                "first_index": start,
                "rows_per": self._bin,
                "uv": bins.max(axis=1).astype(np.float32),
                "low_uv": bins.min(axis=1).astype(np.float32),
            }
            told.append(Outgoing(f"wave.{self.plan.name}", end, fields))
            self._rows, self._first = self._rows[end - self._first :], end
