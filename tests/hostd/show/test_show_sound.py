"""What is heard: the alarm's pulses against IEC 60601-1-8, the sound of muscles in time, players that lag
or end."""

import os
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from hostd.errors import UsageError
from hostd.show import player as players
from hostd.show.player import MOST_BYTES, File, Program
from hostd.show.sound import AHEAD_S, LATE_S, Muscles, Sound
from hostd.show.tones import BURSTS, PITCH_HZ, RATE_HZ, Alarm, burst
from tests.support.fakebus import status_fields
from tests.support.shown import S, Said, sound

MS = RATE_HZ // 1000


def pulses_of(wave: np.ndarray, level: float = 0.9) -> list[tuple[float, float]]:
    """(begin, end) of each pulse in seconds: where its size (rms over some periods) is above `level` of the
    most."""
    window = np.hanning(round(4 * RATE_HZ / PITCH_HZ))
    power = np.convolve(wave.astype(float) ** 2, window / window.sum(), "same")
    on = np.sqrt(power) > level * np.sqrt(power.max())
    edges = np.flatnonzero(np.diff(np.concatenate(([0], on.astype(int), [0]))))
    return [(a / RATE_HZ, b / RATE_HZ) for a, b in edges.reshape(-1, 2)]


@pytest.mark.parametrize(("priority", "count"), [("high", 10), ("medium", 3), ("low", 2)])
def test_bursts_have_their_pulses_and_durations(priority: str, count: int) -> None:
    pulses = pulses_of(burst(priority))
    assert len(pulses) == count
    low, high = (0.075, 0.2) if priority == "high" else (0.125, 0.25)
    for begin, end in pulses:
        assert low <= end - begin <= high


@pytest.mark.control("H11.5")
def test_the_spacing_of_high_is_three_and_two_twice() -> None:
    pulses = pulses_of(burst("high"))
    gaps = [b[0] - a[1] for a, b in pairwise(pulses)]
    td = pulses[0][1] - pulses[0][0]
    x = [gaps[k] for k in (0, 1, 3, 5, 6, 8)]
    assert all(0.045 <= gap <= 0.125 for gap in x) and max(x) - min(x) < 0.005
    for k in (2, 7):
        assert gaps[k] == pytest.approx(2 * np.mean(x) + td, abs=0.03)
    assert 0.35 <= gaps[4] <= 1.3


def test_the_spacing_of_medium_and_low_and_the_pauses_between_bursts() -> None:
    for priority, least, most in (("high", 2.5, 15.0), ("medium", 2.5, 30.0), ("low", 15.0, 60.0)):
        wave = burst(priority)
        pulses = pulses_of(wave)
        assert least < len(wave) / RATE_HZ - pulses[-1][1] <= most
        if priority != "high":
            gaps = [b[0] - a[1] for a, b in pairwise(pulses)]
            assert all(0.12 <= gap <= 0.25 for gap in gaps) and np.ptp(gaps) < 0.005


@pytest.mark.parametrize("priority", sorted(BURSTS))
def test_a_pulse_has_its_pitch_and_four_harmonics_within_15_db(priority: str) -> None:
    begin, end = pulses_of(burst(priority))[0]
    one = burst(priority)[round(begin * RATE_HZ) : round(end * RATE_HZ)].astype(float)
    spectrum = np.abs(np.fft.rfft(one * np.hanning(len(one)), 1 << 16))
    hz = np.fft.rfftfreq(1 << 16, 1 / RATE_HZ)

    def level(at: float) -> float:
        return float(20 * np.log10(spectrum[(hz > at - 20) & (hz < at + 20)].max()))

    assert 150 <= PITCH_HZ <= 1000
    assert abs(hz[np.argmax(spectrum)] - PITCH_HZ) < 5
    within = [
        n
        for n in range(2, 8)
        if 300 <= n * PITCH_HZ <= 4000 and abs(level(n * PITCH_HZ) - level(PITCH_HZ)) <= 15
    ]
    assert len(within) >= 4


def test_no_pulse_clicks_and_none_is_clipped() -> None:
    for priority in BURSTS:
        wave = burst(priority).astype(int)
        assert np.abs(wave).max() <= 32767 * 0.91 and wave[0] == 0
        rise = next(k for k, size in enumerate(np.abs(wave)) if size > 0.9 * np.abs(wave).max())
        assert 5 * MS <= rise <= 80 * MS


def test_the_alarm_goes_on_across_calls_changes_at_once_and_is_silent_at_once() -> None:
    whole, pieces = Alarm(), Alarm()
    whole.set_("medium")
    pieces.set_("medium")
    one = whole.take(12 * RATE_HZ)
    assert np.array_equal(one, np.concatenate([pieces.take(160) for _ in range(12 * 50)]))
    pieces.set_("high")
    assert np.array_equal(pieces.take(500), burst("high")[:500])
    pieces.set_(None)
    assert not pieces.take(4000).any()
    pieces.set_("info")
    assert not pieces.take(4000).any()


def chunk(value: int, count: int = 160) -> np.ndarray:
    return np.full(count, value, np.int16)


def test_muscles_are_played_in_order_once_some_wait() -> None:
    said, muscles = Said(), Muscles()
    muscles.add(sound(said, 0, chunk(1)))
    assert not muscles.take(160).any()  # 20 ms are too few to play evenly
    for n in range(1, 5):
        muscles.add(sound(said, 160 * n, chunk(n + 1)))
    heard = np.concatenate([muscles.take(100) for _ in range(8)])
    assert heard.tolist() == np.repeat([1, 2, 3, 4, 5], 160).tolist()
    assert not muscles.take(160).any()


def test_lost_samples_are_silence_of_their_length_and_late_ones_are_not_played() -> None:
    said, muscles = Said(), Muscles()
    for first, value in ((0, 1), (160, 2), (320 + 80, 3), (160, 9), (560, 4)):
        muscles.add(sound(said, first, chunk(value)))
    assert muscles.take(720).tolist() == [1] * 160 + [2] * 160 + [0] * 80 + [3] * 160 + [4] * 160


def test_what_waits_too_long_is_skipped_and_the_newest_is_heard() -> None:
    said, muscles = Said(), Muscles()
    for n in range(100):
        muscles.add(sound(said, 160 * n, chunk(n)))
        assert len(muscles._waiting) <= LATE_S * RATE_HZ
    rest = muscles.take(RATE_HZ)
    assert muscles.skipped > 0 and rest.max() == 99
    assert np.count_nonzero(rest) >= AHEAD_S * RATE_HZ - 160


def test_a_hole_of_an_hour_and_a_new_start_of_the_box_are_no_hours_of_silence() -> None:
    said, muscles = Said(), Muscles()
    muscles.add(sound(said, 0, chunk(1)))
    muscles.add(sound(said, 8000 * 3600, chunk(2)))
    assert len(muscles._waiting) <= LATE_S * RATE_HZ
    muscles.add(sound(Said("b2"), 0, chunk(3)))
    assert muscles.take(RATE_HZ).max() == 3


def test_malformed_sound_is_refused() -> None:
    said = Said()
    for message in (
        said("emg.audio", first_index=0, samples=np.zeros(160)),
        said("emg.audio", first_index=0, samples=np.zeros((2, 80), "<i2")),
        said("emg.audio", first_index="x", samples=np.zeros(160, "<i2")),
        said("emg.audio", first_index=0, samples=np.zeros(9000, "<i2")),
        said("emg.audio", first_index=0),
    ):
        with pytest.raises(ValueError, match=r"sound|array"):
            Muscles().add(message)


class Kept:
    """A player that keeps what it is given."""

    def __init__(self) -> None:
        self.raw = b""

    def play(self, raw: bytes) -> str:
        self.raw += raw
        return ""

    def close(self) -> None:
        pass


def listening(parts: str = "emg,alarms") -> tuple[Sound, Said, list[int]]:
    now = [S]
    return Sound(frozenset(parts.split(",")), Kept(), lambda: now[0]), Said(), now


def test_the_alarm_sounds_as_the_box_says_and_pauses_when_it_says() -> None:
    heard, said, _ = listening()
    heard.hear(said("alarms", sounding="high", audio="on", alarm="on"))
    assert np.array_equal(heard.mix(2000), burst("high")[:2000])
    heard.hear(said("alarms", sounding=None, audio="paused", alarm="on"))
    assert not heard.mix(2000).any() and heard.state == "♪ paused"


@pytest.mark.control("H11.4")
def test_a_box_that_is_lost_is_not_silence_and_one_that_was_closed_is() -> None:
    heard, said, now = listening()
    heard.hear(said("status", status_fields({})))
    now[0] += 3 * S
    assert np.array_equal(heard.mix(2000), burst("medium")[:2000])
    heard.hear(said("beat", latest={}))
    assert not heard.mix(2000).any()
    heard.hear(said("status", status_fields({}, state="closed")))
    now[0] += 3 * S
    assert not heard.mix(2000).any()


def test_only_what_was_asked_for_is_heard_and_both_together_are_no_wrap() -> None:
    for parts, peak in (("emg", 30000), ("alarms", None), ("emg,alarms", 32767)):
        heard, said, _ = listening(parts)
        heard.hear(said("alarms", sounding="high", audio="on", alarm="on"))
        for n in range(4):
            heard.hear(sound(said, 160 * n, chunk(30000)))
        mixed = heard.mix(600)
        assert mixed.max() == (peak if peak else burst("high")[:600].max())
        assert peak is None or mixed.min() >= -32768


def test_a_player_gets_every_sample(tmp_path: Path) -> None:
    out = tmp_path / "heard"
    copy = "import sys; open(sys.argv[1], 'wb').write(sys.stdin.buffer.read())"
    played = Program([sys.executable, "-c", copy, str(out)])
    raw = np.arange(1000, dtype="<i2").tobytes()
    assert played.play(raw) == ""
    played.close()
    assert out.read_bytes() == raw


def test_a_player_that_lags_loses_samples_and_does_not_hold_us_up() -> None:
    played = Program([sys.executable, "-c", "import sys; sys.stdin.buffer.read(1); sys.stdin.read()"])
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
    process_is_stopped = Program(["sh", "-c", "kill -STOP $$"])
    try:
        for _ in range(200):
            assert process_is_stopped.play(bytes(320)) == ""
        assert process_is_stopped.skipped >= 200 * 320 - MOST_BYTES
    finally:
        process_is_stopped._process.kill()  # type: ignore[union-attr]
        process_is_stopped.close()
        played.close()


def test_a_player_that_ended_is_told_and_started_again() -> None:
    played = Program(["sh", "-c", "exit 3"])
    assert played.play(bytes(2)) in ("", "sh ended (3)")
    played._process.wait()  # type: ignore[union-attr]
    assert played.play(bytes(2)) == "sh ended (3)"
    played.play(bytes(2))
    assert played._process is not None
    played.close()
    assert "No such file" in Program(["/nonexistent/player"]).play(bytes(2))


def test_a_file_takes_raw_samples_and_one_that_cannot_be_written_is_an_error_with_its_cure(
    tmp_path: Path,
) -> None:
    out = File(tmp_path / "out.raw")
    assert out.play(b"\x01\x02") == ""
    out.close()
    assert (tmp_path / "out.raw").read_bytes() == b"\x01\x02"
    with pytest.raises(UsageError, match="choose another file"):
        File(tmp_path)


def test_players_are_looked_for_in_order_and_their_absence_has_a_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="install alsa-utils, or give --player 'CMD' or --audio-out FILE"):
        players.command(None)
    with pytest.raises(UsageError, match="no such program"):
        players.command("nothing -x")
    with pytest.raises(UsageError, match="as a shell would"):
        players.command("a 'b")
    for name in ("play", "paplay"):
        (tmp_path / name).touch(0o755)
    assert players.command(None)[0] == str(tmp_path / "paplay")
    assert players.command("play -q -") == ["play", "-q", "-"]
