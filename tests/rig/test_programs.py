"""Whole programs on the rig, as the field writes them: lines, chips, processes; no sample is lost."""

import pytest

from tests.rig.conftest import ON_KERNEL, lockstep_only

RAMP = ("--body", "ramp")
FRAMES = 1_000 if ON_KERNEL else 20_000


def test_twenty_thousand_frames_in_order(rig):
    text = """
        import runpy, sys
        sys.argv = ["rig_client.py", FRAMES]
        runpy.run_path("tests/bench/rig_client.py", run_name="__main__")
    """
    ran = rig(text.replace("FRAMES", f'"{FRAMES}"'), *RAMP, "--stats")
    assert {key: ran.said[key] for key in ("frames", "lost", "lost_edges")} == {
        "frames": FRAMES,
        "lost": 0,
        "lost_edges": 0,
    }
    if not ON_KERNEL:
        assert ran.counters["frames"] == 20_050 and ran.counters["events_dropped"] == 0
        assert ran.counters["edges"] == 20_052


def test_two_chips_read_together(rig):
    text = """
        import json, gpiod, spidev
        from gpiod.line import Direction, Edge
        from tests.rig.driver import bring_up, sample_of, steps
        one, two = spidev.SpiDev(1, 2), spidev.SpiDev(1, 3)
        for spi in (one, two):
            bring_up(spi)
        ids = [spi.xfer2([0x20, 0, 0])[2] for spi in (one, two)]
        ready = gpiod.LineSettings(direction=Direction.INPUT, edge_detection=Edge.FALLING)
        request = gpiod.request_lines("/dev/gpiochip0", config={27: ready})
        two.xfer2([0x08]); one.xfer2([0x08])
        firsts, seconds = [], []
        while len(firsts) < 200:
            assert request.wait_edge_events(5.0)
            for event in request.read_edge_events():
                firsts.append(sample_of(one.xfer2([0x12] + [0] * 27)[1:]))
                seconds.append(sample_of(two.xfer2([0x12] + [0] * 15)[1:]))
        same = {a - b for a, b in zip(firsts, seconds)}
        print(json.dumps({"ids": ids, "steps": [steps(firsts), steps(seconds)], "apart": len(same)}))
    """
    said = rig(text, *RAMP, "--chips", "ADS1299,ADS1299-4", "--spi", "1.2", "--drdy", "27").said
    assert said == {"ids": [0x3E, 0x3C], "steps": [[1], [1]], "apart": 1}


def test_one_of_two_chips_read_alone_goes_on(rig):
    text = """
        import json, gpiod, spidev
        from gpiod.line import Direction, Edge
        from tests.rig.driver import bring_up, sample_of, steps
        spi = spidev.SpiDev(0, 0)
        bring_up(spi)
        ready = gpiod.LineSettings(direction=Direction.INPUT, edge_detection=Edge.FALLING)
        request = gpiod.request_lines("/dev/gpiochip0", config={17: ready})
        spi.xfer2([0x08])
        samples = []
        while len(samples) < 300:
            assert request.wait_edge_events(20.0)
            for event in request.read_edge_events():
                samples.append(sample_of(spi.xfer2([0x12] + [0] * 27)[1:]))
        print(json.dumps(steps(samples)))
    """
    assert rig(text, *RAMP, "--chips", "ADS1299,ADS1299").said == [1]


LEVELS = """
    import json, gpiod, spidev
    from gpiod.line import Direction, Value
    from tests.rig.driver import bring_up, sample_of, steps
    spi = spidev.SpiDev(0, 0)
    bring_up(spi)
    request = gpiod.request_lines("/dev/gpiochip0", config={17: None})
    def high():
        return request.get_value(17) == Value.ACTIVE
    def read():
        return sample_of(spi.xfer2([0x12] + [0] * 27)[1:])
    spi.xfer2([0x08])
    by_level, by_fall = [], []
    for _ in range(100):
        while high(): pass
        by_level.append(read())
    for _ in range(100):
        while not high(): pass
        while high(): pass
        by_fall.append(read())
    print(json.dumps([steps(by_level), steps(by_fall)]))
"""
UNREAD = """
    for _ in range(2):  # nobody reads: time goes on all the same
        while not high(): pass
        while high(): pass
    print(json.dumps(read() - by_fall[-1]))
"""


def test_programs_that_poll_the_level(rig):
    assert rig(LEVELS, *RAMP).said == [[1], [1]]


@lockstep_only("data-ready that nobody reads for is high for 2 us, which no polling sees")
def test_programs_that_poll_the_level_and_do_not_read(rig):
    assert rig(LEVELS + UNREAD, *RAMP).said == 2


@lockstep_only("who reads twice gets the same sample")
def test_programs_that_read_unasked(rig):
    text = """
        import json, spidev
        from tests.rig.driver import bring_up, sample_of, steps
        spi = spidev.SpiDev(0, 0)
        bring_up(spi)
        spi.xfer2([0x08])
        print(json.dumps(steps([sample_of(spi.xfer2([0x12] + [0] * 27)[1:]) for _ in range(100)])))
    """
    assert rig(text, *RAMP).said == [1]


def test_a_program_that_skips_frames_is_not_left_waiting(rig):
    text = """
        import json, gpiod, spidev
        from gpiod.line import Direction, Edge
        from tests.rig.driver import bring_up, sample_of, steps
        spi = spidev.SpiDev(0, 0)
        bring_up(spi)
        ready = gpiod.LineSettings(direction=Direction.INPUT, edge_detection=Edge.FALLING)
        request = gpiod.request_lines("/dev/gpiochip0", config={17: ready})
        spi.xfer2([0x08])
        samples, seqnos = [], []
        for k in range(12):
            assert request.wait_edge_events(20.0)
            (event,) = request.read_edge_events()
            seqnos.append(event.line_seqno)
            if k % 3 == 2:
                samples.append(sample_of(spi.xfer2([0x12] + [0] * 27)[1:]))
        spi.xfer2([0x0A])
        print(json.dumps([steps(samples), seqnos]))
    """
    assert rig(text, *RAMP).said == [[3], list(range(1, 13))]


def test_processes_threads_and_compiled_code(rig):
    text = """
        import json, multiprocessing, os, subprocess, sys, threading
        import gpiod, spidev
        from gpiod.line import Direction
        IDENTITY = "import spidev; s = spidev.SpiDev(0, 0); s.xfer2([0x11]); print(s.xfer2([0x20, 0, 0])[2])"
        def identity(spi, found):
            found.append(spi.xfer2([0x20, 0, 0])[2])
        spi = spidev.SpiDev(0, 0)
        import time; time.sleep(0.15)
        spi.xfer2([0x06]); time.sleep(0.001); spi.xfer2([0x11])
        found = []
        identity(spi, found)
        thread = threading.Thread(target=identity, args=(spi, found)); thread.start(); thread.join()
        fork = multiprocessing.get_context("fork")
        def child(queue):
            mine = []
            identity(spi, mine); identity(spidev.SpiDev(0, 0), mine)
            queue.put(mine)
        queue = fork.Queue(); process = fork.Process(target=child, args=(queue,)); process.start()
        found += queue.get(timeout=120); process.join()
        found.append(int(subprocess.check_output([sys.executable, "-c", IDENTITY])))
        os.write(os.dup(spi.fileno()), bytes([0x45, 0, 0x60]))
        copy = os.dup(spi.fileno())
        found.append(spi.xfer2([0x25, 0, 0])[2])
        only = os.open("/dev/spidev0.0", os.O_RDONLY)
        refusals = []
        try:
            os.write(only, b"x")
        except OSError as error:
            refusals.append(error.errno)
        import ctypes, fcntl
        from firmware.rig.uapi import SPI_IOC_TRANSFER
        sent = ctypes.create_string_buffer(4)
        for tx, rx in ((ctypes.addressof(sent), 1), (1, ctypes.addressof(sent))):
            packed = SPI_IOC_TRANSFER.pack(tx, rx, 4, 0, 0, 0, 0, 0, 0, 0, 0)
            try:
                fcntl.ioctl(spi.fileno(), 0x40206B00, packed)
            except OSError as error:
                refusals.append(error.errno)
        folder = os.open("/dev", os.O_RDONLY)
        near = os.open("spidev0.0", os.O_RDWR, dir_fd=folder)
        found.append(len(os.read(near, 9)))
        found.append(os.writev(near, [bytes(3), bytes(4)]) + os.readv(near, [bytearray(5)]))
        line = gpiod.request_lines("/dev/gpiochip0", config={5: None})
        kept = os.dup(line.fd)
        line.release()
        try:
            gpiod.request_lines("/dev/gpiochip0", config={5: None})
        except OSError as error:
            refusals.append(error.errno)
        os.close(kept)
        gpiod.request_lines("/dev/gpiochip0", config={5: None}).release()
        for _ in range(100):
            gpiod.request_lines("/dev/gpiochip0", config={5: None, 6: None}).release()
        print(json.dumps([found, refusals]))
    """
    found, refusals = rig(text).said
    assert found == [0x3E] * 5 + [0x60, 9, 12]
    assert refusals == [9, 14, 14, 16]


V1 = """
    import ctypes, fcntl, json, os, select, struct, spidev
    from firmware.rig import uapi as u
    from firmware.rig.control import RigControl
    from tests.rig.driver import bring_up, off_period_ns, sample_of, steps
    chip = os.open("/dev/gpiochip0", os.O_RDONLY)
    name, label, lines = u.GPIOCHIP_INFO.unpack(fcntl.ioctl(chip, u.GPIO_GET_CHIPINFO_IOCTL, bytes(68)))
    said = {"chip": [name.rstrip(b"\\0").decode(), lines]}
    def info(offset):
        asked = u.GPIOLINE_INFO.pack(offset, 0, b"", b"")
        return u.GPIOLINE_INFO.unpack(fcntl.ioctl(chip, u.GPIO_GET_LINEINFO_IOCTL, asked))
    def handle(flags, offsets, values):
        numbers = list(offsets) + [0] * (64 - len(offsets))
        packed = u.GPIOHANDLE_REQUEST.pack(*numbers, flags, bytes(values), b"old", len(offsets), 0)
        return u.GPIOHANDLE_REQUEST.unpack(fcntl.ioctl(chip, u.GPIO_GET_LINEHANDLE_IOCTL, packed))[-1]
    outputs = handle(u.V1_REQUEST_OUTPUT, (22, 23), (1, 0))
    said["info"] = [info(22)[1], info(22)[3].rstrip(b"\\0").decode(), info(5)[1]]
    fcntl.ioctl(outputs, u.GPIOHANDLE_SET_LINE_VALUES_IOCTL, bytes([0, 1]) + bytes(62))
    with RigControl() as rig:
        said["levels"] = [rig.levels()[22], rig.levels()[23]]
    said["values"] = list(fcntl.ioctl(outputs, u.GPIOHANDLE_GET_LINE_VALUES_IOCTL, bytes(64))[:2])
    refused = []
    def refuse(action, *arguments):
        try:
            action(*arguments)
        except OSError as error:
            refused.append(error.errno)
    refuse(handle, u.V1_REQUEST_INPUT, (22,), ())
    refuse(handle, u.V1_REQUEST_INPUT | u.V1_REQUEST_OUTPUT, (9,), ())
    refuse(handle, u.V1_REQUEST_INPUT, (54,), ())
    inputs = handle(u.V1_REQUEST_INPUT, (9,), ())
    refuse(fcntl.ioctl, inputs, u.GPIOHANDLE_SET_LINE_VALUES_IOCTL, bytes(64))
    said["refused"] = refused
    def event(offset, kinds):
        packed = u.GPIOEVENT_REQUEST.pack(offset, u.V1_REQUEST_INPUT, kinds, b"drdy", 0)
        return u.GPIOEVENT_REQUEST.unpack(fcntl.ioctl(chip, u.GPIO_GET_LINEEVENT_IOCTL, packed))[-1]
    spi = spidev.SpiDev(0, 0)
    bring_up(spi)
    ready = event(17, u.V1_EVENT_FALLING)
    spi.xfer2([0x08])
    samples, stamps = [], []
    while len(samples) < 100:
        assert select.select([ready], [], [], 5.0)[0]
        stamp, kind = u.GPIOEVENT_DATA.unpack(os.read(ready, 16))
        stamps.append(stamp)
        samples.append(sample_of(spi.xfer2([0x12] + [0] * 27)[1:]))
    said["steps"] = [steps(samples), off_period_ns(stamps), kind]
    both = event(7, 3)
    with RigControl() as rig:
        for k in range(20):
            rig.drive(7, 1 - k % 2)
    kept = list(u.GPIOEVENT_DATA.iter_unpack(os.read(both, 16 * 64)))
    said["kept"] = [len(kept), kept[0][1]]
    said["event_value"] = fcntl.ioctl(both, u.GPIOHANDLE_GET_LINE_VALUES_IOCTL, bytes(64))[0]
    os.close(ready)
    os.close(event(17, 1))
    print(json.dumps(said))
"""


def test_uapi_v1(rig):
    said = rig(V1, *RAMP, "--stim", "-").said
    assert said["chip"] == ["gpiochip0", 54]
    assert said["info"] == [3, "old", 0]
    assert said["levels"] == said["values"] == [0, 1]
    assert said["refused"] == [16, 22, 22, 1]
    assert said["steps"] == [[1], 0, 2]
    assert said["kept"] == [16, 1], (
        "past 16 events version 1 drops the newest: the first kept is the first sent"
    )
    assert said["event_value"] == 0


@lockstep_only("and has no other pace")
@pytest.mark.parametrize("how", ["--realtime", "--unpinned"])
def test_other_paces_run_too(rig, how):
    text = """
        import json, time, gpiod, spidev
        from gpiod.line import Direction, Edge
        from tests.rig.driver import bring_up, sample_of, steps
        time.sleep(0.3)  # at half the speed the supplies take twice as long
        spi = spidev.SpiDev(0, 0)
        bring_up(spi)
        ready = {17: gpiod.LineSettings(direction=Direction.INPUT, edge_detection=Edge.FALLING)}
        request = gpiod.request_lines("/dev/gpiochip0", config=ready)
        spi.xfer2([0x08])
        stamps, seqnos, samples = [], [], []
        while len(samples) < 20:
            assert request.wait_edge_events(20.0)
            for event in request.read_edge_events():
                stamps.append(event.timestamp_ns)
                seqnos.append(event.line_seqno)
                samples.append(sample_of(spi.xfer2([0x12] + [0] * 27)[1:]))
        exact = all((b - a) == 4_000_000 * (n - m)
                    for a, b, m, n in zip(stamps, stamps[1:], seqnos, seqnos[1:]))
        print(json.dumps([exact, samples == sorted(samples), None in samples]))
    """
    extra = ("--wire", "--speed", "0.5") if how == "--realtime" else ()
    assert rig(text, *RAMP, how, *extra).said == [True, True, False]
