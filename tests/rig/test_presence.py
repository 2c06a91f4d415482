"""Devices that go while a program has them open, and come back: what was open stays dead, as in a kernel."""

import textwrap

import pytest

from tests.rig.conftest import ON_KERNEL

pytestmark = pytest.mark.skipif(
    ON_KERNEL, reason="of the rig's own nodes; a kernel's are asked by kernel_rules"
)
HEAD = """
    import errno, glob, json, os, select, threading, time
    import gpiod, spidev
    from gpiod.line import Direction, Edge
    from firmware.rig.control import RigControl
    from tests.rig.driver import bring_up, sample_of, steps
    rig = RigControl()
    said = {}
    def refused(action, *arguments, **named):
        try:
            action(*arguments, **named)
        except OSError as error:
            return errno.errorcode[error.errno]
        return ""
    def polled(fd, timeout_ms=0):
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        names = {select.POLLIN: "IN", select.POLLERR: "ERR", select.POLLHUP: "HUP"}
        return [name for _, events in poll.poll(timeout_ms) for bit, name in names.items() if events & bit]
    def nodes():
        return sorted(glob.glob("/dev/spidev*") + glob.glob("/dev/gpiochip*"))
    falling = gpiod.LineSettings(direction=Direction.INPUT, edge_detection=Edge.FALLING)
    def lines():
        return gpiod.request_lines("/dev/gpiochip0", config={17: falling})
"""


@pytest.fixture
def said(rig):
    """What a program says at its end."""

    def run(text, *options):
        return rig(textwrap.dedent(HEAD) + textwrap.dedent(text), *options).said

    return run


def test_what_was_open_is_dead_for_good_and_what_is_opened_anew_lives(said):
    text = """
        spi, chip, request = spidev.SpiDev(0, 0), gpiod.Chip("/dev/gpiochip0"), lines()
        low = gpiod.LineSettings(direction=Direction.OUTPUT)
        outputs = gpiod.request_lines("/dev/gpiochip4", config={22: low})
        chip.watch_line_info(23)
        spi.max_speed_hz, spi.mode = 2_000_000, 1
        def asked():
            copy = os.dup(spi.fileno())
            found = [refused(spi.xfer2, [0x20, 0, 0])]
            found += [refused(os.read, copy, 3), refused(os.write, copy, b"x")]
            os.close(copy)
            found += [refused(chip.get_line_info, 4), refused(chip.watch_line_info, 23)]
            found += [refused(request.get_value, 17)]
            found += [refused(outputs.set_value, 22, gpiod.line.Value.ACTIVE)]
            return found + [polled(chip.fd), polled(request.fd), polled(outputs.fd)]
        said["alive"], said["nodes"] = asked(), nodes()
        rig.fault("vanished")
        said["dead"], said["no_nodes"] = asked(), nodes()
        said["opens"] = [refused(os.open, path, os.O_RDWR) for path in said["nodes"]]
        said["opens"] += [refused(spidev.SpiDev, 0, 0), refused(gpiod.Chip, "/dev/gpiochip4")]
        rig.fault("vanished")
        rig.clear()
        said["still_dead"], said["nodes_again"] = asked(), nodes()
        anew = spidev.SpiDev(0, 0)
        said["first_settings"] = [anew.max_speed_hz, anew.mode]
        bring_up(anew)
        with lines() as again:
            anew.xfer2([0x08])
            samples = []
            while len(samples) < 50:
                assert again.wait_edge_events(20.0)
                for event in again.read_edge_events(1):
                    samples.append(sample_of(anew.xfer2([0x12] + [0] * 27)[1:]))
            said["steps"] = steps(samples)
        said["held"] = refused(spi.xfer2, [0])
        rig.fault("vanished"); rig.clear()
        said["twice"] = [refused(device.xfer2, [0]) for device in (spi, anew, spidev.SpiDev(0, 0))]
        spi.close(); chip.close(); request.release(); outputs.release()
        said["free"] = refused(lines().release)
        print(json.dumps(said))
    """
    told = said(text, "--body", "ramp")
    assert told["alive"][:7] == [""] * 4 + ["EBUSY"] + [""] * 2 and told["alive"][7:9] == [[], []]
    dead = ["ESHUTDOWN"] * 3 + ["ENODEV"] * 4
    assert told["dead"][:7] == told["still_dead"][:7] == dead
    assert told["dead"][7:] == told["still_dead"][7:] == [["IN", "HUP"]] * 3
    assert told["nodes"] == ["/dev/gpiochip0", "/dev/gpiochip4", "/dev/spidev0.0"] == told["nodes_again"]
    assert told["no_nodes"] == [] and told["opens"] == ["ENOENT"] * 5
    assert told["first_settings"] == [125_000_000, 0]
    assert told["steps"] == [1]
    assert told["held"] == "ESHUTDOWN" and told["twice"] == ["ESHUTDOWN", "ESHUTDOWN", ""]
    assert told["free"] == ""


def test_who_waits_is_woken(said):
    text = """
        chip, request = gpiod.Chip("/dev/gpiochip0"), lines()
        chip.watch_line_info(23)
        woken = {}
        def wait(name, fd):
            woken[name] = polled(fd, 60_000)
        epoll = select.epoll()
        epoll.register(request.fd, select.EPOLLIN)
        pairs = ("chip", chip.fd), ("lines", request.fd)
        waits = [threading.Thread(target=wait, args=pair) for pair in pairs]
        waits.append(threading.Thread(target=lambda: woken.update(epoll=len(epoll.poll(60)))))
        blocked = os.dup(request.fd)
        waits.append(threading.Thread(target=lambda: woken.update(read=os.read(blocked, 48).hex())))
        for thread in waits:
            thread.start()
        time.sleep(0.2)
        before = dict(woken)
        rig.fault("vanished")
        for thread in waits:
            thread.join(30)
        print(json.dumps([before, woken]))
    """
    before, woken = said(text)
    assert before == {}
    assert woken == {"chip": ["IN", "HUP"], "lines": ["IN", "HUP"], "epoll": 1, "read": ""}


def test_devices_that_are_not_there_from_the_start(said):
    text = """
        said["nodes"] = nodes()
        said["opens"] = [refused(spidev.SpiDev, 0, 0), refused(gpiod.Chip, "/dev/gpiochip0")]
        rig.clear()
        said["anew"] = [nodes(), refused(spidev.SpiDev, 0, 0), refused(gpiod.Chip, "/dev/gpiochip0")]
        print(json.dumps(said))
    """
    told = said(text, "--fault", "vanished")
    assert told["nodes"] == [] and told["opens"] == ["ENOENT"] * 2
    assert told["anew"] == [["/dev/gpiochip0", "/dev/gpiochip4", "/dev/spidev0.0"], "", ""]


def test_lines_of_a_chip_that_went_are_free_and_where_they_were(said):
    text = """
        high = gpiod.LineSettings(direction=Direction.OUTPUT, output_value=gpiod.line.Value.ACTIVE)
        held = gpiod.request_lines("/dev/gpiochip0", config={22: high})
        for _ in range(300):
            rig.fault("vanished"); rig.clear()
            other = spidev.SpiDev(0, 0), gpiod.Chip("/dev/gpiochip0")
            for one in other:
                one.close()
        said = [rig.levels()[22], refused(held.get_value, 22)]
        with gpiod.Chip("/dev/gpiochip0") as chip:
            info = chip.get_line_info(22)
            said += [info.used, info.direction == Direction.OUTPUT]
        print(json.dumps(said))
    """
    assert said(text) == [1, "ENODEV", False, True]
