"""EMG to listen to keeps its pitch, size and time; nothing clips or clicks, mutes and gaps are silent."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp.emg_audio import OUT_HZ, PACKET, RAMP, EmgAudio, Packet, limited
from tests.support.streams import blocks

Floats = np.ndarray
RATES_HZ = (2000.0, 2048.0, 4000.0, 5000.0, 8000.0, 10_000.0, 11_025.0, 12_500.0, 16_000.0, 24_000.0)


def heard(
    uv: Floats, rate_hz: float, cuts: tuple[int, ...] = (), audio: EmgAudio | None = None, first: int = 0
) -> list[Packet]:
    """The packets of one column."""
    audio = audio or EmgAudio(rate_hz, (1.0,), 1000.0)
    packets = []
    for start, end in blocks(len(uv), list(cuts) or list(range(0, len(uv), 97))):
        packets += audio.append(first + start, uv[start:end].reshape(end - start, -1))
    return packets


def joined(packets: list[Packet]) -> Floats:
    """Full scale 1, from the first packet's first sample on."""
    for before, after in itertools.pairwise(packets):
        assert after.first == before.first + PACKET
    return np.concatenate([packet.samples for packet in packets]) / 32767.0


def tone(hz: float, rate_hz: float, seconds: float, uv: float = 500.0, first: int = 0) -> Floats:
    return uv * np.sin(2 * np.pi * hz * (first + np.arange(round(seconds * rate_hz))) / rate_hz)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_a_tone_keeps_its_pitch_size_and_place_at_any_rate(rate_hz: float) -> None:
    for hz in (250.0, 700.0, 2500.0):
        if hz > 0.4 * rate_hz:
            continue
        first = 123_457  # far from a multiple of anything
        packets = heard(tone(hz, rate_hz, 0.6, first=first), rate_hz, first=first)
        x = joined(packets)[1600:4000]
        index = packets[0].first + 1600 + np.arange(len(x))
        turn = np.exp(-2j * np.pi * hz * index / OUT_HZ)
        gain = 2j * np.mean(x * turn) / 0.5
        high_pass = -((hz / 60) ** 2) / (1 - (hz / 60) ** 2 + 1j * math.sqrt(2) * hz / 60)
        # The digital high-pass differs from the analogue a little where half of the rate is near.
        assert abs(gain) == pytest.approx(abs(high_pass), abs=0.012), hz
        assert abs(np.angle(gain / high_pass)) < 0.06, hz
        rest = x - np.real(0.5 * gain / 1j * np.conj(turn))
        assert np.std(rest) < 1.5e-3 * np.std(x), hz


@pytest.mark.parametrize(
    ("rate_hz", "hz", "at_most"), [(16_000.0, 5000.0, 2e-3), (16_000.0, 7000.0, 2e-3), (8000.0, 20.0, 0.12)]
)
def test_what_is_outside_the_band_is_not_heard(rate_hz: float, hz: float, at_most: float) -> None:
    x = joined(heard(tone(hz, rate_hz, 0.6), rate_hz))[1600:]
    assert np.abs(x).max() < 0.5 * at_most


@pytest.mark.parametrize("rate_hz", [2000.0, 4000.0])
def test_no_images_of_what_a_slow_rate_carries(rate_hz: float) -> None:
    hz = 0.3 * rate_hz
    x = joined(heard(tone(hz, rate_hz, 1.0), rate_hz))[1600:7200]
    power = np.abs(np.fft.rfft(x * np.hanning(len(x)))) ** 2
    at_hz = np.fft.rfftfreq(len(x), 1 / OUT_HZ)
    assert power[np.abs(at_hz - hz) > 20].sum() < 1e-5 * power.sum()


@settings(deadline=None, max_examples=25)
@given(st.sampled_from([2048.0, 4000.0, 8000.0, 16_000.0]), st.lists(st.integers(0, 12_000), max_size=30))
def test_blocks_leave_no_trace(rate_hz: float, cuts: list[int]) -> None:
    rng = np.random.default_rng(1)
    uv = 300.0 * rng.standard_normal(12_000)
    uv[5000:5003] = math.nan
    told = []
    for edges in ((), tuple(cuts) or (1,)):
        audio = EmgAudio(rate_hz, (1.0,), 500.0, 200.0)
        audio.exclude(2000, 2500)
        audio.exclude(7777, 7790)
        told.append(heard(uv, rate_hz, edges, audio, 31))
    assert len(told[0]) == len(told[1]) > 30
    for one, two in zip(*told, strict=True):
        assert one.first == two.first and one.silent == two.silent
        assert np.array_equal(one.samples, two.samples)


@pytest.mark.parametrize("rate_hz", [2048.0, 4000.0, 8000.0, 16_000.0])
def test_spans_that_are_told_late_leave_no_trace_of_the_blocks_either(rate_hz: float) -> None:
    """Stimuli are seen when their samples come, and mute from 1 ms before."""
    rng, late = np.random.default_rng(5), round(0.001 * rate_hz)
    uv = 300.0 * rng.standard_normal(round(rate_hz))
    stimuli = rng.choice(np.arange(200, len(uv) - 200), 12, replace=False)

    def sound(block: int) -> Floats:
        audio, packets = EmgAudio(rate_hz, (1.0,), 1000.0, late_rows=late), []
        for first in range(0, len(uv), block):
            for at in sorted(stimuli[(first <= stimuli) & (stimuli < first + block)].tolist()):
                audio.exclude(at - late, at + late)
            packets += audio.append(first, uv[first : first + block, None])
        return joined(packets)

    whole = sound(len(uv))
    assert np.abs(whole).max() > 0.5
    for block in (256, 80, 40, 7, 1):
        assert np.array_equal(sound(block), whole), block


def test_blocks_may_be_one_row_and_a_span_may_be_told_with_its_first_row() -> None:
    uv = np.random.default_rng(2).standard_normal(4000) * 300.0
    whole = EmgAudio(8000.0, (1.0,), 1000.0)
    whole.exclude(2000, 2400)
    expected = joined(heard(uv, 8000.0, (4000,), whole))
    audio, packets = EmgAudio(8000.0, (1.0,), 1000.0), []
    for k in range(len(uv)):
        if k == 2000:
            audio.exclude(2000, None)
        if k == 2400:
            audio.exclude(2000, 2400)
        packets += audio.append(k, uv[k : k + 1, None])
    assert np.array_equal(joined(packets), expected)


def test_packets_come_within_the_latency_that_is_told() -> None:
    for rate_hz in RATES_HZ:
        audio = EmgAudio(rate_hz, (1.0,), 1000.0)
        assert audio.latency_s < 0.030
        worst = 0.0
        for k in range(round(0.2 * rate_hz)):
            for packet in audio.append(k, np.zeros((1, 1))):
                worst = max(worst, (k + 1) / rate_hz - packet.first / OUT_HZ)
        assert audio.latency_s - 3.1 / rate_hz < worst <= audio.latency_s + 1e-9, rate_hz


def test_a_mute_is_silent_and_ramps_without_a_click() -> None:
    uv = tone(400.0, 8000.0, 1.0)
    uv[3000:4001] += 5000.0 * np.random.default_rng(3).standard_normal(1001)
    audio = EmgAudio(8000.0, (1.0,), 1000.0)
    audio.exclude(3000, 4001)
    packets = heard(uv, 8000.0, (), audio)
    assert all(p.silent == (not p.samples.any()) for p in packets) and any(p.silent for p in packets)
    x = joined(packets)
    silent = np.flatnonzero(x == 0.0)
    assert not x[3000:4001].any()
    inside = silent[(silent > 2500) & (silent < 4500)]
    assert 3000 - RAMP < inside[0] <= 3000 and 4001 <= inside[-1] <= 4001 + 2 * RAMP
    swing = 0.5 * 2 * np.pi * 400.0 / 8000.0
    assert np.abs(np.diff(x[2000:5000])).max() < 1.5 * swing
    assert np.abs(x[4001 + 200 :].max()) == pytest.approx(0.5, abs=0.03)


def test_an_offset_is_not_heard_even_where_it_jumps_in_a_mute() -> None:
    uv = tone(400.0, 8000.0, 1.0, 100.0) + np.where(np.arange(8000) < 3500, 20_000.0, -20_000.0)
    audio = EmgAudio(8000.0, (1.0,), 1000.0)
    audio.exclude(3400, 3600)
    x = joined(heard(uv, 8000.0, (), audio))
    assert np.abs(x).max() < 0.2 and np.abs(x[3700:]).max() > 0.09


def test_a_late_mute_ramps_from_where_it_is_told() -> None:
    uv, audio = tone(400.0, 8000.0, 1.0), EmgAudio(8000.0, (1.0,), 1000.0)
    packets = heard(uv[:4000], 8000.0, (), audio)
    audio.exclude(3500, 5000)
    packets += heard(uv[4000:], 8000.0, (), audio, 4000)
    x = joined(packets)
    assert np.abs(np.diff(x[2000:])).max() < 0.3 and not x[3840 + RAMP : 5000].any()


def test_gaps_are_silence_of_their_length_and_long_ones_are_in_the_index() -> None:
    audio = EmgAudio(4000.0, (1.0,), 1000.0)
    packets = audio.append(1000, tone(400.0, 4000.0, 0.5)[:, None])
    packets += audio.append(4000, tone(400.0, 4000.0, 0.5)[:, None])
    x, first = joined(packets), packets[0].first
    assert first == 1920 and not x[: 2000 - first].any()
    # From row 1000 on for half a second, and from row 4000 on: 2000 to 6000, and 8000, at 8 kHz.
    heard_at = np.flatnonzero(np.abs(x) > 0.05) + first
    assert 2000 < heard_at[0] < 2080 and heard_at[-1] > 9000
    assert 5900 < heard_at[heard_at < 7000][-1] < 6000 and 8000 < heard_at[heard_at > 7000][0] < 8080
    assert not x[6000 - first : 8000 - first].any() and np.abs(np.diff(x)).max() < 0.3
    later = audio.append(4_000_000, tone(400.0, 4000.0, 0.1)[:, None])
    assert later[0].first == 8_000_000 and len(later) == 4
    again = audio.append(0, tone(400.0, 4000.0, 0.1)[:, None])
    assert again[0].first == 0


@settings(deadline=None, max_examples=100)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50))
def test_the_limiter_is_odd_rising_and_never_passes_full_scale(levels: list[float]) -> None:
    level = np.sort(np.array(levels))
    bent = limited(level)
    assert np.all(np.abs(bent) <= 1.0) and np.all(np.diff(bent) >= 0)
    assert np.array_equal(limited(-level), -bent)
    quiet = np.abs(level) <= 0.7
    assert np.allclose(bent[quiet], level[quiet], rtol=1e-12, atol=0)
    assert limited(np.array([1.1])) < limited(np.array([1.5])) - 0.02
    assert np.all(np.diff(limited(np.linspace(0.65, 0.9, 300))) > 0.5 * 0.25 / 299)


def test_what_is_too_loud_neither_wraps_nor_clips_hard() -> None:
    quiet, loud = (joined(heard(tone(200.0, 8000.0, 0.5, uv), 8000.0))[1600:] for uv in (500.0, 3000.0))
    assert 0.99 < np.abs(loud).max() <= 1.0
    apart = np.abs(quiet) > 0.02
    assert np.array_equal(np.sign(loud[apart]), np.sign(quiet[apart]))
    rising = np.argsort(np.abs(quiet), kind="stable")
    assert np.all(np.diff(np.abs(loud)[rising]) > -0.02)


def test_the_squelch_opens_for_what_is_loud_and_shuts_softly_behind_it() -> None:
    rng = np.random.default_rng(5)
    uv = 3.0 * rng.standard_normal(16_000)
    uv[8000:8040] += 200.0 * np.hanning(40)
    packets = heard(uv, 8000.0, (), EmgAudio(8000.0, (1.0,), 500.0, 40.0))
    x = joined(packets)
    assert not x[:7900].any() and x[8000:8060].max() > 0.1
    last = np.flatnonzero(x)[-1]
    assert 8000 + 1900 < last < 8060 + 2000 + RAMP
    assert sum(not p.silent for p in packets) < 16
    assert joined(heard(uv, 8000.0)).astype(bool).mean() > 0.9


def test_derivations_are_weighed_and_those_left_out_may_be_anything() -> None:
    uv = np.column_stack([tone(300.0, 8000.0, 0.3), tone(500.0, 8000.0, 0.3), np.full(2400, math.nan)])
    both = joined(heard(uv, 8000.0, (), EmgAudio(8000.0, (0.5, -1.0, 0.0), 1000.0)))
    single = joined(heard(0.5 * uv[:, 0] - uv[:, 1], 8000.0))
    assert np.array_equal(both, single) and single.any()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e300])
def test_what_is_no_number_is_muted(bad: float) -> None:
    uv = tone(400.0, 8000.0, 0.6)
    uv[3000] = bad
    x = joined(heard(uv, 8000.0))
    assert x[3000] == 0.0 and np.abs(np.diff(x)).max() < 0.3
    assert np.abs(x[3300:]).max() == pytest.approx(0.5, abs=0.03)


def test_packets_are_read_only_and_the_impossible_is_refused() -> None:
    packet = heard(np.zeros(400), 8000.0)[0]
    assert packet.samples.dtype == np.int16 and len(packet.samples) == PACKET
    with pytest.raises(ValueError, match="read-only"):
        packet.samples[0] = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        packet.first = 3  # type: ignore[misc]
    for rate_hz, weights, scale_uv, squelch_uv, why in (
        (24_414.0, (1.0,), 1.0, 0.0, "no ratio"),
        (30_000.0, (1.0,), 1.0, 0.0, "outside"),
        (1000.0, (1.0,), 1.0, 0.0, "outside"),
        (math.nan, (1.0,), 1.0, 0.0, "outside"),
        (12_207.0, (1.0,), 1.0, 0.0, "no ratio"),
        (4000.1, (1.0,), 1.0, 0.0, "no ratio"),
        (4000.0, (0.0, 0.0), 1.0, 0.0, "choose no derivation"),
        (4000.0, (), 1.0, 0.0, "choose no derivation"),
        (4000.0, (math.inf,), 1.0, 0.0, "choose no derivation"),
        (4000.0, (1.0,), 0.0, 0.0, "not above 0"),
        (4000.0, (1.0,), 1.0, -1.0, "negative"),
    ):
        with pytest.raises(ValueError, match=why):
            EmgAudio(rate_hz, weights, scale_uv, squelch_uv)
