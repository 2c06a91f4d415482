"""A real recording through the product: mouse ABR records laid end to end, played and replayed."""

from pathlib import Path

import numpy as np
import pytest

from firmware.playback import RecordingSource
from hostd import casefile
from hostd.replay import Replay
from hostd.wire import Message
from tests.support.mouse_abr import DATA, SWEEP_SAMPLES, MouseAbr, write_mouse_abr
from tests.support.session import Ear, LiveHost, session, until

pytestmark = pytest.mark.skipif(not DATA.exists(), reason=f"the recording {DATA} is not here")

OFF = 'band_hz = "off"\nreject_uv = "off"\nweighting = "none"\n'
TRIGGERS = {"trigger": 'trigger_channel = "Stim"', "annotations": 'annotations = { "click" = 1 }'}


def case_text(triggers: str, settings: str) -> str:
    shipped = (Path(casefile.__file__).parent / "procedures" / "mouse_abr.toml").read_text()
    text = shipped.replace('trigger_channel = "Trigger"', TRIGGERS[triggers])
    assert text != shipped
    text = text.replace("sweeps = 800", "sweeps = 1000")  # all of them in one average
    return text.replace('derivations = ["ABR"]\n', f'derivations = ["ABR"]\n{settings}')


def latencies(recording: Path, text: str) -> dict[str, float]:
    """Latency by peak of the last measurement of a replay, present peaks only."""
    last = {}
    with Replay(recording, casefile.parse(text, "case.toml")) as replay:
        for message in replay.messages():
            if message.topic == "measure.click":
                last = {p["name"]: p["latency_ms"] for p in message.fields["peaks"] if p["present"]}
    return last


def by_the_command(recording: Path, case: Path, n_sweeps: int) -> Message:
    """The last average that `evokd run` publishes of a recording."""
    args = (case, "--source", f"file:{recording}", "--speed", "6")
    with session(*args, data=Path("off")) as run, Ear(run.bus, ("average.click",)) as ear:
        ear.until(lambda m: m.header["n_sweeps"] >= n_sweeps, f"{n_sweeps} sweeps")
        until(lambda: ear.listen() == [] and run.process.poll() is not None, "the end")
        assert run.wait() == 0 and run.stderr == ""
    return ear.heard[-1]


def by_threads(recording: Path, case: Path, n_sweeps: int) -> Message:
    """The same without processes."""
    played = RecordingSource(recording, 12.0, None)
    with LiveHost(casefile.load(case), played) as host, Ear(host.bus, ("average.click",)) as ear:
        ear.until(lambda m: m.header["n_sweeps"] >= n_sweeps, f"{n_sweeps} sweeps")
        host.join()
        until(lambda: ear.listen() == [], "the last messages")
        assert host.failure is None
    return ear.heard[-1]


@pytest.mark.parametrize("kind", ["edf-trigger", "edf-annotations", "bdf-trigger", "bdf-annotations"])
def test_the_published_average_is_the_plain_mean(kind: str, tmp_path: Path) -> None:
    recording = tmp_path / f"abr.{kind[:3]}"
    written = write_mouse_abr(recording, kind)
    case = tmp_path / "case.toml"
    case.write_text(case_text(kind[4:], OFF))
    play = by_the_command if kind == "bdf-trigger" else by_threads
    last = play(recording, case, written.n_sweeps)
    mean = last.array("mean_uv")[:, 0]
    plain = plain_mean(written)
    assert last.header["n_sweeps"] == written.n_sweeps
    assert last.header["n_rejected"] == 0
    assert last.header["t0_ms"] == 0.0
    assert last.header["dt_ms"] == pytest.approx(1e3 / 24414, rel=1e-9)
    worst = np.abs(mean - plain[: len(mean)]).max() / np.ptp(plain)
    assert worst < 1e-3
    shifted = [np.abs(mean[3:-3] - plain[3 + k : len(mean) - 3 + k]).max() for k in (-1, 0, 1)]
    assert int(np.argmin(shifted)) == 1, "the trigger is off by a sample"


def plain_mean(written: MouseAbr) -> np.ndarray:
    return written.uv[: written.n_sweeps * SWEEP_SAMPLES].reshape(written.n_sweeps, -1).mean(axis=0)


def test_default_filter_weights_and_rejection_move_latencies_less_than_a_tenth(tmp_path: Path) -> None:
    recording = tmp_path / "abr.bdf"
    write_mouse_abr(recording, "bdf-trigger")
    plain = latencies(recording, case_text("trigger", OFF))
    default = latencies(recording, case_text("trigger", ""))
    both = plain.keys() & default.keys()
    assert len(both) >= 4, (plain, default)
    moved = {name: default[name] - plain[name] for name in both}
    assert max(abs(ms) for ms in moved.values()) < 0.1, moved
