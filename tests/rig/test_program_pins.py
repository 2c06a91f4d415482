"""Pins that a program drives on the rig: chip selects, START, RESET, power, stimulus lines."""

RAMP = ("--body", "ramp")


def test_chip_selects_driven_as_gpio(rig):
    text = """
        import json, gpiod, spidev
        from gpiod.line import Direction, Value
        from tests.rig.driver import Ready, bring_up, sample_of, steps
        ready = Ready()
        spi = spidev.SpiDev(0, 0)
        select = gpiod.LineSettings(direction=Direction.OUTPUT, output_value=Value.ACTIVE)
        lines = gpiod.request_lines("/dev/gpiochip0", config={8: select, 7: select})
        spi.no_cs = True
        def window(chip, *pieces):
            lines.set_value(chip, Value.INACTIVE)
            found = [list(spi.xfer2(list(piece))) for piece in pieces]
            lines.set_value(chip, Value.ACTIVE)
            return found
        class Selected:
            def xfer2(self, sent):
                return window(8, sent)[0]
        bring_up(Selected())
        bytewise = window(8, [0x20], [0], [0])
        other = window(7, [0x11], [0x20, 0], [0])
        nobody = spi.xfer2([0x20, 0, 0])
        window(8, [0x08])
        def sample():
            ready.wait()
            pieces = window(8, [0x12], [0] * 9, [0] * 18)[1:]
            return sample_of([byte for piece in pieces for byte in piece])
        samples = [sample() for _ in range(20)]
        print(json.dumps([bytewise[-1], other[-1], nobody, steps(samples), samples[0] is not None]))
    """
    options = ("--chips", "ADS1299,ADS1299-4", "--cs-gpio", "8,7")
    said = rig(text, *RAMP, *options).said
    assert said == [[0x3E], [0x3C], [0, 0, 0], [1], True]


def test_free_running_chips_one_selected_by_the_program(rig):
    """PiEEG-16: the first chip is on CE0 and starts first, the second one's select is a GPIO line."""
    text = """
        import json, gpiod, spidev
        from gpiod.line import Direction, Value
        from tests.rig.driver import Ready, bring_up, sample_of, steps
        one, two = spidev.SpiDev(0, 0), spidev.SpiDev(0, 1)
        high = gpiod.LineSettings(direction=Direction.OUTPUT, output_value=Value.ACTIVE)
        lines = gpiod.request_lines("/dev/gpiochip0", config={19: high})
        class Selected:
            def xfer2(self, sent):
                lines.set_value(19, Value.INACTIVE)
                found = two.xfer2(list(sent))
                lines.set_value(19, Value.ACTIVE)
                return found
        second = Selected()
        readies = Ready(26), Ready(13)
        for chip in (one, second):
            bring_up(chip)
            chip.xfer2([0x08])
        ids = [chip.xfer2([0x20, 0, 0])[2] for chip in (one, second)]
        unselected = two.xfer2([0x20, 0, 0])
        def read():
            found = []
            for ready, chip, size in zip(readies, (one, second), (27, 15)):
                ready.wait()
                found.append(sample_of(chip.xfer2([0x12] + [0] * size)[1:]))
            return found
        rows = [read() for _ in range(60)][10:]
        print(json.dumps([ids, unselected, [steps(column) for column in zip(*rows)]]))
    """
    options = ("--chips", "ADS1299,ADS1299-4", "--cs-gpio=-,19", "--drdy", "26,13", "--stim", "-")
    assert rig(text, *RAMP, *options).said == [[0x3E, 0x3C], [0, 0, 0], [[1], [1]]]


def test_start_reset_and_power_pins(rig):
    text = """
        import json, time, gpiod, spidev
        from gpiod.line import Direction, Edge, Value
        from tests.rig.driver import bring_up, sample_of, steps
        spi = spidev.SpiDev(0, 0)
        ready = gpiod.LineSettings(direction=Direction.INPUT, edge_detection=Edge.FALLING)
        pin = gpiod.LineSettings(direction=Direction.OUTPUT, output_value=Value.ACTIVE)
        low = gpiod.LineSettings(direction=Direction.OUTPUT)
        pins = gpiod.request_lines("/dev/gpiochip0", config={5: low, 6: pin, 13: pin})
        bring_up(spi)
        time.sleep(0.1)  # the conversion that STOP found under way still ends
        request = gpiod.request_lines("/dev/gpiochip0", config={17: ready})
        quiet = request.wait_edge_events(0.05)
        pins.set_value(5, Value.ACTIVE)
        samples = []
        while len(samples) < 20:
            assert request.wait_edge_events(5.0)
            for event in request.read_edge_events():
                samples.append(sample_of(spi.xfer2([0x12] + [0] * 27)[1:]))
        pins.set_value(5, Value.INACTIVE)
        before = spi.xfer2([0x21, 0, 0])[2]
        pins.set_value(6, Value.INACTIVE); pins.set_value(6, Value.ACTIVE)
        time.sleep(0.001)
        spi.xfer2([0x11])
        after = spi.xfer2([0x23, 0, 0])[2]
        pins.set_value(13, Value.INACTIVE)
        off = spi.xfer2([0x20, 0, 0])[2]
        pins.set_value(13, Value.ACTIVE)
        time.sleep(0.15)
        spi.xfer2([0x06]); time.sleep(0.001); spi.xfer2([0x11])
        print(json.dumps([quiet, steps(samples), before, after, off, spi.xfer2([0x20, 0, 0])[2]]))
    """
    said = rig(text, *RAMP, "--start", "5", "--reset", "6", "--pwdn", "13").said
    assert said == [False, [1], 0x96, 0x60, 0, 0x3E]


def test_stimulus_lines_return_to_the_chip(rig):
    text = """
        import json, gpiod, spidev
        from gpiod.line import Direction, Edge, Value
        from tests.rig.driver import bring_up
        spi = spidev.SpiDev(0, 0)
        bring_up(spi)
        outputs = {k: gpiod.LineSettings(direction=Direction.OUTPUT) for k in (22, 23, 24, 25)}
        ready = {17: gpiod.LineSettings(direction=Direction.INPUT, edge_detection=Edge.FALLING)}
        lines = gpiod.request_lines("/dev/gpiochip0", config=outputs)
        request = gpiod.request_lines("/dev/gpiochip0", config=ready)
        spi.xfer2([0x08])
        bits = []
        for k in range(8):
            assert request.wait_edge_events(5.0)
            request.read_edge_events()
            lines.set_value(23, Value.ACTIVE if k == 3 else Value.INACTIVE)
            bits.append(spi.xfer2([0x12] + [0] * 27)[3] & 0x0F)
        print(json.dumps(bits))
    """
    bits = rig(text, "--seed", "3").said
    assert bits.count(2) == 1 and bits[4] == 2 and set(bits) == {0, 2}
