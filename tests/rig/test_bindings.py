"""The packages that drivers use, unmodified, on the rig's nodes; each program runs in lockstep."""

import subprocess
import sys

import pytest

from tests.rig.conftest import ON_KERNEL, lockstep_only

RAMP = ("--body", "ramp")

SPIDEV = """
    import errno, json, spidev
    from tests.rig.driver import Ready, bring_up, sample_of
    ready = Ready()
    spi = spidev.SpiDev(); spi.open(0, 0)
    bring_up(spi)
    said = {"mode": spi.mode, "speed": spi.max_speed_hz, "bits": spi.bits_per_word}
    said["id"] = spi.xfer2([0x20, 0, 0])[2]
    said["xfer"] = spi.xfer([0x20, 0, 0])[2]
    said["xfer3"] = list(spi.xfer3((0x20, 0, 0)))[2]
    spi.writebytes([0x4B, 1, 0x60, 0x10])
    spi.writebytes2(b"\\x4c\\x00\\x30")
    said["written"] = spi.xfer2([0x2B, 1, 0, 0])[2:]
    spi.xfer2([0x08]); spi.xfer2([0x10])
    def sample(read):
        ready.wait()
        return sample_of(read())
    said["read"] = [sample(lambda: spi.readbytes(27)) for _ in range(5)]
    said["xfers"] = [sample(lambda: spi.xfer2([0] * 27)) for _ in range(5)]
    said["big"] = len(spi.xfer3([0] * 5000))
    def refused(action):
        try:
            action()
        except OSError as error:
            return errno.errorcode[error.errno]
        return ""
    def set_lsb():
        spi.lsbfirst = True
    def set_bits():
        spi.bits_per_word = 9
    said["lsb"] = refused(set_lsb)
    said["bits9"] = refused(set_bits)
    try:
        spi.cshigh = True
    except OSError as error:
        said["cshigh"] = str(error)
    spi.no_cs = True
    said["unselected"] = sum(spi.xfer2([0] * 27))
    print(json.dumps(said))
"""


def test_spidev(rig):
    said = rig(SPIDEV, *RAMP, anew=True).said
    first = said["read"][0]
    assert said["mode"] == 1 and said["speed"] == 4_000_000 and said["bits"] == 8
    assert said["id"] == said["xfer"] == said["xfer3"] == 0x3E
    assert said["written"] == [0x60, 0x30]
    assert said["read"] + said["xfers"] == list(range(first, first + 10))
    assert said["big"] == 5000
    assert said["lsb"] == said["bits9"] == "EINVAL"
    assert said["cshigh"] == "Attempted to set mode 0x5 but mode 0x1 returned", "as on a Pi"
    assert said["unselected"] == 0


GPIOD = """
    import errno, json, time, gpiod, spidev
    from datetime import timedelta
    from gpiod.line import Bias, Clock, Direction, Edge, Value
    from firmware.rig.control import RigControl
    from tests.rig.driver import AHEAD_NS, bring_up, off_period_ns, sample_of, steps
    said = {"is_chip": [gpiod.is_gpiochip_device(f"/dev/gpiochip{k}") for k in (0, 4)]}
    chips = {gpiod.Chip(f"/dev/gpiochip{k}").get_info().label: k for k in (0, 4)}
    said["labels"] = chips
    chip = gpiod.Chip("/dev/gpiochip4")
    said["offset"] = chip.line_offset_from_id("GPIO17")
    spi = spidev.SpiDev(0, 0)
    bring_up(spi)
    ready = gpiod.LineSettings(direction=Direction.INPUT, edge_detection=Edge.FALLING)
    request = chip.request_lines(consumer="drdy", config={17: ready})
    info = chip.get_line_info(17)
    said["held"] = [info.used, info.consumer, info.edge_detection == Edge.FALLING]
    try:
        chip.request_lines(config={17: ready})
    except OSError as error:
        said["twice"] = errno.errorcode[error.errno]
    spi.xfer2([0x08])
    samples, events = [], []
    before = time.monotonic_ns()
    while len(samples) < 400:
        assert request.wait_edge_events(5.0)
        for event in request.read_edge_events():
            samples.append(sample_of(spi.xfer2([0x12] + [0] * 27)[1:]))
            events.append(event)
    said["steps"] = steps(samples)
    said["off_period"] = off_period_ns([e.timestamp_ns for e in events])
    said["seqnos"] = steps([e.line_seqno for e in events]) + steps([e.global_seqno for e in events])
    said["first"] = [events[0].line_seqno, abs(events[0].timestamp_ns - before - AHEAD_NS) < 10**10]
    request.release()
    again = chip.request_lines(config={17: ready})
    said["again"] = again.fd >= 0
    again.release()
    out = gpiod.LineSettings(direction=Direction.OUTPUT, output_value=Value.ACTIVE)
    low = gpiod.LineSettings(direction=Direction.OUTPUT, active_low=True, output_value=Value.ACTIVE)
    bounced = gpiod.LineSettings(direction=Direction.INPUT, debounce_period=timedelta(microseconds=500))
    mixed = chip.request_lines(config={22: out, 5: low, 6: bounced})
    said["debounce"] = chip.get_line_info(6).debounce_period.microseconds
    with RigControl() as rig:
        levels = rig.levels()
        said["levels"] = [levels[22], levels[5]]
        mixed.set_values({22: Value.INACTIVE, 5: Value.INACTIVE})
        levels = rig.levels()
        said["after"] = [levels[22], levels[5]]
        rig.drive(6, 1)
        until = time.monotonic() + 1.0  # a kernel waits for the level to stand still
        while mixed.get_value(6) != Value.ACTIVE and time.monotonic() < until:
            pass
        said["input"] = mixed.get_value(6) == Value.ACTIVE
    try:
        mixed.set_value(6, Value.ACTIVE)
    except OSError as error:
        said["set_input"] = errno.errorcode[error.errno]
    mixed.reconfigure_lines(config={5: gpiod.LineSettings(direction=Direction.INPUT, bias=Bias.PULL_UP)})
    said["pulled_up"] = mixed.get_value(5) == Value.ACTIVE
    chip.watch_line_info(13)
    watched = gpiod.request_lines("/dev/gpiochip0", consumer="other", config={13: None})
    watched.release()
    kinds = []
    while len(kinds) < 2:
        assert chip.wait_info_event(5.0)
        kinds.append(chip.read_info_event().event_type.name)
    said["watch"] = kinds
    both = gpiod.LineSettings(edge_detection=Edge.BOTH, event_clock=Clock.REALTIME)
    edges = chip.request_lines(config={7: both, 8: both}, event_buffer_size=4)
    now = time.time_ns()
    with RigControl() as rig:
        for level in (1, 0, 1, 0, 1, 0):
            rig.drive(7, level)
    kept = edges.read_edge_events()
    said["kept"] = [[e.line_seqno, e.global_seqno, e.event_type.name] for e in kept]
    said["realtime"] = abs(kept[0].timestamp_ns - now - AHEAD_NS) < 10**10
    print(json.dumps(said))
"""


def test_gpiod(rig):
    said = rig(GPIOD, *RAMP, anew=True).said
    assert said["is_chip"] == [True, True]
    labels = {"pinctrl-bcm2711": 4} if ON_KERNEL else {"pinctrl-bcm2711": 0, "pinctrl-rp1": 4}
    assert said["labels"] == labels and said["offset"] == 17, "a kernel's chip has one label under both names"
    assert said["held"] == [True, "drdy", True] and said["twice"] == "EBUSY"
    assert said["steps"] == [1] and said["off_period"] == 0 and said["seqnos"] == [1, 1]
    assert said["first"] == [1, True] and said["again"]
    assert said["debounce"] == 500
    assert said["levels"] == [1, 0] and said["after"] == [0, 1] and said["input"]
    assert said["set_input"] == "EPERM" and said["pulled_up"]
    assert said["watch"] == ["LINE_REQUESTED", "LINE_RELEASED"]
    names = ["RISING_EDGE", "FALLING_EDGE"] * 2
    assert said["kept"] == [[k, k, name] for k, name in zip((3, 4, 5, 6), names, strict=True)]
    assert said["realtime"]


RPI_LGPIO = """
    import json, threading, RPi.GPIO as GPIO, spidev
    from firmware.rig.control import RigControl
    from tests.rig.driver import bring_up, sample_of, steps
    GPIO.setmode(GPIO.BCM)
    spi = spidev.SpiDev(0, 0)
    bring_up(spi)
    GPIO.setup(17, GPIO.IN)
    GPIO.setup([22, 23], GPIO.OUT, initial=GPIO.LOW)
    samples, done = [], threading.Event()
    def ready(channel):
        if len(samples) < 100:
            samples.append(sample_of(spi.xfer2([0x12] + [0] * 27)[1:]))
        else:
            done.set()
    GPIO.add_event_detect(17, GPIO.FALLING, callback=ready)
    spi.xfer2([0x08])
    assert done.wait(60)
    GPIO.remove_event_detect(17)
    GPIO.output(22, GPIO.HIGH)
    with RigControl() as rig:
        levels = rig.levels()
    print(json.dumps({"steps": steps(samples), "levels": [levels[22], levels[23]], "n": len(samples)}))
    GPIO.cleanup()
"""


def test_rpi_lgpio_calls_back_for_every_sample(rig):
    said = rig(RPI_LGPIO, *RAMP).said
    assert said == {"steps": [1], "levels": [1, 0], "n": 100}


RPI_GPIO = """
    import json, sys, time
    import RPi.GPIO as GPIO, spidev
    from firmware.rig.control import RigControl
    from tests.rig.driver import bring_up, sample_of, steps
    GPIO.setwarnings(False)
    GPIO.setmode(GPIO.BCM)
    GPIO.setup(17, GPIO.IN)
    GPIO.setup(22, GPIO.OUT, initial=GPIO.LOW)
    spi = spidev.SpiDev(0, 0)
    bring_up(spi)
    spi.xfer2([0x08])
    samples = []
    while len(samples) < 30:
        while GPIO.input(17):
            time.sleep(0.0002)
        samples.append(sample_of(spi.xfer2([0x12] + [0] * 27)[1:]))
    GPIO.output(22, GPIO.HIGH)
    with RigControl() as rig:
        high = rig.levels()[22]
        GPIO.output(22, GPIO.LOW)
        low = rig.levels()[22]
    print(json.dumps({"version": GPIO.VERSION, "steps": steps(samples), "levels": [high, low]}))
"""


@pytest.fixture(scope="session")
def rpi_gpio(tmp_path_factory):
    """RPi.GPIO 0.7.1 in a folder of its own: rpi-lgpio installs a package of the same name."""
    folder = tmp_path_factory.mktemp("rpi_gpio")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    ran = subprocess.run(
        [*pip, "--target", str(folder), "RPi.GPIO==0.7.1"], capture_output=True, text=True, timeout=120
    )
    if ran.returncode:
        pytest.skip(f"RPi.GPIO cannot be built here: {ran.stderr.strip().splitlines()[-1]}")
    return str(folder)


@lockstep_only("it has no memory of GPIO registers either")
def test_rpi_gpio_levels(rig, rpi_gpio):
    said = rig(RPI_GPIO, *RAMP, first_path=rpi_gpio).said
    assert said == {"version": "0.7.1", "steps": [1], "levels": [1, 0]}
