"""What fails under a program on the rig, by order of the control channel."""

from tests.rig.conftest import lockstep_only

RAMP = ("--body", "ramp")


def test_faults_by_the_control_channel(rig):
    text = """
        import ctypes, errno, fcntl, json, gpiod, spidev
        from gpiod.line import Direction, Edge
        from firmware.rig.control import RigControl, RigRefusedError
        from firmware.rig.uapi import SPI_IOC_MESSAGE_1, SPI_IOC_TRANSFER
        from tests.rig.driver import bring_up, sample_of, steps
        rig = RigControl()
        spi = spidev.SpiDev(0, 0)
        bring_up(spi)
        said = {}
        def refused(action, *arguments, **named):
            try:
                action(*arguments, **named)
            except OSError as error:
                return errno.errorcode[error.errno]
            except RigRefusedError as error:
                return str(error)
            return ""
        ready = {17: gpiod.LineSettings(direction=Direction.INPUT, edge_detection=Edge.FALLING)}
        rig.fault("busy_lines", [17])
        said["busy"] = refused(gpiod.request_lines, "/dev/gpiochip0", config=ready)
        rig.fault("open_errno", "EACCES")
        said["open"] = refused(spidev.SpiDev, 0, 0)
        rig.clear()
        request = gpiod.request_lines("/dev/gpiochip0", config=ready)
        spi.xfer2([0x08])
        def samples(count):
            found = []
            while len(found) < count:
                assert request.wait_edge_events(20.0)
                for event in request.read_edge_events(1):
                    found.append(sample_of(spi.xfer2([0x12] + [0] * 27)[1:]))
            return found
        samples(5)
        rig.fault("transfer_error_in", 3)
        said["eio"] = [refused(spi.xfer2, [0x20, 0, 0]) for _ in range(4)]
        rig.fault("short_in", 1); rig.fault("short_bytes", 4)
        sent, received = ctypes.create_string_buffer(b"\\x12", 28), ctypes.create_string_buffer(28)
        packed = SPI_IOC_TRANSFER.pack(ctypes.addressof(sent), ctypes.addressof(received), 28, *[0] * 8)
        moved = fcntl.ioctl(spi.fileno(), SPI_IOC_MESSAGE_1, bytearray(packed))
        said["short"] = [moved, received.raw[4:] == bytes(24)]
        rig.fault("missing_edge_every", 4)
        said["missing"] = steps(samples(9))
        rig.clear()
        rig.fault("spi_max_hz", 1_000_000)
        said["speed"] = refused(spi.xfer2, [0x20, 0, 0])
        rig.clear()
        said["unknown"] = refused(rig.fault, "gremlins")
        said["nonsense"] = refused(rig.order, "dance")
        counters = rig.counters()
        said["counted"] = [counters["frames"], counters["edges"]]
        rig.body("steady", volts=[0.25] * 8)
        samples(20)
        said["steady"] = steps(samples(3))
        rig.fault("vanished")
        said["gone"] = [refused(spi.xfer2, [0]), refused(spidev.SpiDev, 0, 0), refused(request.get_value, 17)]
        said["no_chip"] = refused(gpiod.Chip, "/dev/gpiochip0")
        said["woken"] = request.wait_edge_events(20.0)
        print(json.dumps(said))
    """
    said = rig(text, *RAMP).said
    assert said["busy"] == "EBUSY" and said["open"] == "EACCES"
    assert said["eio"] == ["", "", "EIO", ""]
    assert said["short"] == [4, True]
    assert said["missing"] == [1, 2]
    assert said["speed"] == "EINVAL"
    assert "no fault is called 'gremlins'" in said["unknown"] and "dance" in said["nonsense"]
    assert min(said["counted"]) >= 14 and said["steady"] == [0]
    assert said["gone"] == ["ESHUTDOWN", "ENOENT", "ENODEV"] and said["woken"]
    assert said["no_chip"] == "ENOENT"


@lockstep_only("a false edge brings no new sample")
def test_false_edges(rig):
    text = """
        import json, gpiod, spidev
        from gpiod.line import Direction, Edge
        from firmware.rig.control import RigControl
        from tests.rig.driver import bring_up, sample_of, steps
        rig = RigControl()
        spi = spidev.SpiDev(0, 0)
        bring_up(spi)
        ready = {17: gpiod.LineSettings(direction=Direction.INPUT, edge_detection=Edge.FALLING)}
        request = gpiod.request_lines("/dev/gpiochip0", config=ready)
        spi.xfer2([0x08])
        said = {}
        def samples(count):
            found = []
            while len(found) < count:
                assert request.wait_edge_events(20.0)
                for event in request.read_edge_events(1):
                    found.append(sample_of(spi.xfer2([0x12] + [0] * 27)[1:]))
            return found
        samples(5)
        rig.fault("double_edge_every", 5)
        said["double"] = steps(samples(20))
        said["queued"] = len(request.read_edge_events())
        rig.clear()
        samples(20)
        rig.fault("storm_edges", 30)
        said["storm"] = steps(samples(21))
        said["dropped"] = rig.counters()["events_dropped"]
        print(json.dumps(said))
    """
    said = rig(text, *RAMP).said
    assert said["double"] == [1] and said["queued"] == 1 + 4, "each doubled edge leaves one more in the queue"
    assert said["storm"] == [1], "false edges bring later samples, none twice"
    assert said["dropped"] > 0
