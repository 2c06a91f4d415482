"""The command line: exit codes, one line for every mistake, what the electrodes see, signals."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from firmware.errors import ConfigError, PortError
from firmware.rig import options
from firmware.rig.__main__ import main
from firmware.rig.bodies import PatientBody, Ramp, RecordingBody, Steady
from hw.samples import SampleBlock
from tests.recording.child import FIRST, counts, recorder
from tests.rig.conftest import ROOT, spawn, why_not


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "no program"),
        (["--chips", "AD7124", "--", "true"], "--chips: 'AD7124' is unknown; use"),
        (["--spi", "0", "--", "true"], "BUS.SELECT"),
        (["--drdy", "54", "--", "true"], "--drdy '54'"),
        (["--drdy", "17,27", "--", "true"], "2 lines, 1 can be wired"),
        (["--drdy", "22", "--", "true"], "line 22 is wired twice"),
        (["--cs-gpio", "8", "--chips", "ADS1299,ADS1299", "--", "true"], "1 lines for 2 chips"),
        (
            ["--chips", "ADS1299,ADS1299", "--daisy", "--drdy", "17,18", "--", "true"],
            "2 lines, 1 can be wired",
        ),
        (["--chips", "ADS1299,ADS1299", "--daisy", "--cs-gpio", "8", "--", "true"], "--cs-gpio is not for"),
        (["--daisy", "--", "true"], "--daisy: ADS1299 alone is no chain"),
        (["--chips", "ADS1299,ADS1299", "--daisy-gap", "1", "--", "true"], "--daisy-gap belongs to --daisy"),
        (["--chips", "ADS1299,ADS1299", "--daisy", "--daisy-gap", "2", "--", "true"], "--daisy-gap"),
        (["--cs-gpio", "8,,7", "--chips", "ADS1299,ADS1299,ADS1299", "--", "true"], "--cs-gpio '?'"),
        (["--speed", "2", "--", "true"], "--speed belongs to --realtime"),
        (["--realtime", "--speed", "0", "--", "true"], "not a positive number"),
        (["--realtime", "--lockstep", "--", "true"], "not allowed with"),
        (["--recording", "x.edf", "--body", "ramp", "--", "true"], "--recording replaces"),
        (["--scenario", "x.toml", "--body", "ramp", "--", "true"], "--scenario belongs"),
        (["--scenario", "nowhere.toml", "--", "true"], "nowhere.toml"),
        (["--sites", "left elbow", "--", "true"], "left elbow"),
        (["--electrodes", "CP3,Xq", "--", "true"], "--electrodes"),
        (["--fault", "gremlins=1", "--", "true"], "gremlins"),
        (["--fault", "short_in=x", "--", "true"], "no number"),
        (["--seed", "-1", "--", "true"], "--seed"),
        (["--spi-max-hz", "-5", "--", "true"], "--spi-max-hz"),
        (["--chips", "ADS1299," * 4 + "ADS1299", "--", "true"], "--chips"),
        (["--", "no-such-program-anywhere"], "no-such-program-anywhere"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(arguments, says, capsys):
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("evokd rig: ") and said.count("\n") == 1 and says in said


def test_a_missing_recording_is_exit_1(capsys):
    assert main(["--recording", "nowhere.edf", "--", "true"]) == 1
    assert "nowhere.edf" in capsys.readouterr().err


def test_what_is_no_recording_is_exit_2(tmp_path, capsys):
    path = tmp_path / "x.edf"
    path.write_bytes(b"x" * 300)
    assert main(["--recording", str(path), "--", "true"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_no_privilege_is_one_line_with_the_cure():
    if os.geteuid() != 0 or why_not():
        pytest.skip("needs root to give it up")
    code = (
        "import locale, os, sys, firmware.rig.__main__ as rig, firmware.rig.supervisor\n"
        "os.setuid(65534); sys.exit(rig.main(['--', 'true']))"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 1 and ran.stderr.count("\n") == 1
    assert "a mount namespace" in ran.stderr and "run it as root" in ran.stderr


def test_the_program_decides_the_exit_code():
    if why_not():
        pytest.skip(why_not())
    assert spawn("--", "sh", "-c", "exit 7", anew=True).code == 7
    ended = spawn("--stats", "--", "sh", "-c", "kill -TERM $$")
    assert ended.code == 128 + signal.SIGTERM and ended.counters["windows"] == 0


def test_sigterm_goes_to_the_program_and_nothing_stays():
    if why_not():
        pytest.skip(why_not())
    text = "trap 'echo $EVOKD_RIG; exit 5' TERM; echo up; while :; do sleep 0.05; done"
    command = [sys.executable, "-m", "firmware.rig", "--", "sh", "-c", text]
    rig = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert rig.stdout.readline() == "up\n"
        rig.send_signal(signal.SIGTERM)
        out, _ = rig.communicate(timeout=30)
    finally:
        rig.kill()
    assert rig.returncode == 5 and not Path(out.strip()).parent.exists()


def test_nodes_as_the_options_say(rig):
    text = """
        import json, os, stat
        nodes = sorted(n for n in os.listdir("/dev") if n.startswith(("spidev", "gpio")))
        kinds = [stat.S_ISCHR(os.stat(f"/dev/{n}").st_mode) for n in nodes]
        import gpiod
        label = gpiod.Chip("/dev/gpiochip4").get_info().label
        kept = [open(f"/dev/{n}", "rb").read(1) for n in ("null", "zero")] + [os.path.exists("/dev/pts")]
        fd = os.open("/dev/gpiochip0", os.O_RDONLY)
        try:
            os.open("/dev/spidev0.0", os.O_RDWR); other = "opened"
        except FileNotFoundError:
            other = "missing"
        print(json.dumps([nodes, kinds, label, kept[1] == b"\\0", kept[2], fd >= 0, other]))
    """
    said = rig(text, "--chips", "ADS1299,ADS1298", "--spi", "3.1", "--label", "mine").said
    assert said[0] == ["gpiochip0", "gpiochip4", "gpiomem", "spidev3.1", "spidev3.2"]
    assert said[1] == [True, True, False, True, True]
    assert said[2:] == ["mine", True, True, True, "missing"]


def bodies(*arguments):
    args, _ = options.parse([*arguments, "--", "true"])
    return options.board(args)


def test_what_the_electrodes_see():
    assert isinstance(bodies().body, PatientBody) and isinstance(bodies("--body", "ramp").body, Ramp)
    assert list(bodies("--body", "beaker", "--chips", "ADS1299-4,ADS1299").body.read(3)) == [0.0] * 12
    board = bodies("--sites", "right tibial", "--seed", "4")
    assert board.setup.sites == ("right tibial", "", "", "")


def test_a_patient_keeps_his_age_when_the_rate_changes():
    rate = [1000.0]
    body = PatientBody(3, lambda: rate[0], 1, options.NO_CHANGE)
    before = [body.read(k) for k in range(500)]
    assert len(before[0]) == 3 and np.ptp([row[0] for row in before]) > 0
    rate[0] = 250.0
    body.read(500)
    assert body._last == 125 and body._patient.rate_hz == 250.0
    body.stimulate(500.5, "left median")
    body.stimulate(-3.0, "left median")
    for k in range(501, 600):
        body.read(k)
    assert body._last == 224


def test_a_recording_at_any_rate(tmp_path):
    edfio = pytest.importorskip("edfio")
    ramp = np.linspace(-100.0, 100.0, 500)
    shape = {"physical_dimension": "uV", "physical_range": (-200, 200)}
    signals = [
        edfio.EdfSignal(sign * ramp, 100.0, label=name, **shape) for name, sign in (("a", 1), ("b", -1))
    ]
    path = tmp_path / "two.edf"
    edfio.Edf(signals).write(path)
    body = RecordingBody(path, 4, lambda: 250.0)
    rows = np.array([body.read(k) for k in range(2500)])
    assert np.all(rows[:, 2:] == 0) and np.allclose(rows[:, 0], -rows[:, 1], atol=1e-8)
    assert np.allclose(rows[:1250, 0] * 1e6, ramp[(np.arange(1250) * 2 // 5)], atol=0.02)
    assert np.array_equal(rows[:1250], rows[1250:]), "it begins again at its end"
    with pytest.raises(PortError):
        RecordingBody(tmp_path / "none.edf", 4, lambda: 250.0)


def test_a_case_of_several_segments_is_one_body(tmp_path):
    with recorder(tmp_path, 2, 1000.0, 0.2) as recording:
        recording.append(SampleBlock(FIRST, counts(FIRST, 500, 2), np.zeros(500, np.uint8)))
    assert (tmp_path / "raw-0003.bdf").exists()
    for path in (tmp_path, tmp_path / "raw.bdf"):
        body = RecordingBody(path, 2, lambda: 1000.0)
        volts = np.array([body.read(k) for k in range(500)])
        assert np.allclose(volts, counts(FIRST, 500, 2) * 0.1e-6, atol=1e-9)


def test_steady_volts():
    assert list(Steady([1.0, 2.0]).read(9)) == [1.0, 2.0]


def test_patients_of_the_unknown_electrode():
    with pytest.raises(ConfigError):
        PatientBody(2, lambda: 1000.0, 1, options.NO_CHANGE, ("Q7",))


@pytest.mark.parametrize(("wished_hz", "limit"), [(100_000, "0"), (50_000_000, "100000")])
def test_a_case_in_real_time_takes_real_time(rig, wished_hz, limit):
    text = """
        import json, time, spidev
        from tests.rig.driver import bring_up
        spi = spidev.SpiDev(0, 0)
        bring_up(spi)
        spi.max_speed_hz = WISHED
        start = time.monotonic()
        for _ in range(10):
            spi.xfer2([0] * 125)
        print(json.dumps(time.monotonic() - start))
    """
    lasted_s = rig(text.replace("WISHED", str(wished_hz)), "--realtime", "--wire", "--spi-max-hz", limit).said
    assert lasted_s >= 0.1, "1,250 bytes at 100 kHz last 100 ms at least, whoever says 100 kHz"
