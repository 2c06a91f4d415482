"""The GPIO chip's rules, call by call, on our own memory: flags, conflicts, edges, queues."""

import ctypes
import errno
import os
import socket

import pytest

from firmware.rig import uapi as u
from firmware.rig.faults import Faults
from firmware.rig.gpiochip import GpioChip, check_flags
from firmware.rig.gpiochip_v1 import GpioChipV1
from firmware.rig.lines import Lines

PID = os.getpid()
IN, OUT, RISE, FALL, LOW = u.V2_INPUT, u.V2_OUTPUT, u.V2_EDGE_RISING, u.V2_EDGE_FALLING, u.V2_ACTIVE_LOW


class Chip:
    """The chip as one process has it open; descriptors are duplicates of our own."""

    def __init__(self):
        self.lines = Lines(Faults())
        self.chip = GpioChip(self.lines)
        self.v1 = GpioChipV1(self.chip)
        self.handle, self.end = self.chip.open("gpiochip0", "pinctrl-test", False)
        self.fds = []

    def call(self, command, packed, chip=None):
        memory = ctypes.create_string_buffer(packed, len(packed))
        target = chip or self.chip
        assert target.chip_ioctl(self.handle, PID, command, ctypes.addressof(memory), self.add) == 0
        return memory.raw

    def add(self, theirs: socket.socket) -> int:
        self.fds.append(os.dup(theirs.fileno()))
        return self.fds[-1]

    def request(self, flags, *offsets, attributes=(), size=0, padding=0, unused=0, consumer=b"test"):
        """(request, descriptor) of a v2 line request."""
        flat = [word for attribute in attributes for word in attribute] + [0] * (40 - 4 * len(attributes))
        flat[-1] = flat[-1] or unused
        config = u.GPIO_V2_LINE_CONFIG.pack(flags, len(attributes), padding, 0, 0, 0, 0, *flat)
        numbers = [*offsets, *[0] * (64 - len(offsets))]
        packed = u.GPIO_V2_LINE_REQUEST.pack(*numbers, consumer, config, len(offsets), size, *[0] * 5, 0)
        fd = u.GPIO_V2_LINE_REQUEST.unpack(self.call(u.GPIO_V2_GET_LINE_IOCTL, packed))[-1]
        status = os.fstat(fd)
        return self.lines.requests[(status.st_dev, status.st_ino)], fd

    def line(self, request, command, packed, chip=None):
        memory = ctypes.create_string_buffer(packed, len(packed))
        (chip or self.chip).line_ioctl(request, PID, command, ctypes.addressof(memory))
        return memory.raw

    def values(self, request, mask):
        packed = u.GPIO_V2_LINE_VALUES.pack(0, mask)
        return u.GPIO_V2_LINE_VALUES.unpack(self.line(request, u.GPIO_V2_LINE_GET_VALUES_IOCTL, packed))[0]

    def put(self, request, bits, mask):
        self.line(request, u.GPIO_V2_LINE_SET_VALUES_IOCTL, u.GPIO_V2_LINE_VALUES.pack(bits, mask))

    def configure(self, request, flags, *attributes):
        """GPIO_V2_LINE_SET_CONFIG_IOCTL."""
        flat = [word for attribute in attributes for word in attribute] + [0] * (40 - 4 * len(attributes))
        packed = u.GPIO_V2_LINE_CONFIG.pack(flags, len(attributes), *[0] * 5, *flat)
        self.line(request, u.GPIO_V2_LINE_SET_CONFIG_IOCTL, packed)

    def info(self, offset, command=u.GPIO_V2_GET_LINEINFO_IOCTL):
        """(consumer, flags) that info tells; `command` may watch too."""
        told = self.call(command, u.GPIO_V2_LINE_INFO.pack(b"", b"", offset, 0, 0, b""))
        words = u.GPIO_V2_LINE_INFO.unpack(told)
        return words[1].rstrip(b"\0"), words[4]

    def changes(self):
        """(what, offset, flags) that was told to who watches in version 2."""
        try:
            told = u.GPIO_V2_LINE_INFO_CHANGED.iter_unpack(self.end.recv(1 << 16))
        except BlockingIOError:
            return []
        return [(kind, *u.GPIO_V2_LINE_INFO.unpack(info)[2:5:2]) for info, _, kind in told]

    def close(self, request):
        """As the supervisor does when the program's last copy is closed."""
        self.lines.release(request.key)
        self.chip.changed(request.offsets, u.CHANGED_RELEASED)

    def events(self, fd):
        """(time, id, offset, seqno, line_seqno) of what is queued."""
        with socket.socket(fileno=os.dup(fd)) as end:
            end.setblocking(False)
            try:
                return list(u.GPIO_V2_LINE_EVENT.iter_unpack(end.recv(1 << 16)))
            except BlockingIOError:
                return []


@pytest.fixture
def chip():
    made = Chip()
    yield made
    for fd in made.fds:
        os.close(fd)


def refusal(action, *arguments, **named):
    with pytest.raises(OSError) as caught:
        action(*arguments, **named)
    return errno.errorcode[caught.value.errno]


@pytest.mark.parametrize(
    "flags",
    [
        IN | OUT,
        OUT | RISE,
        RISE,
        IN | u.V2_OPEN_DRAIN,
        OUT | u.V2_OPEN_DRAIN | u.V2_OPEN_SOURCE,
        u.V2_PULL_UP,
        IN | u.V2_PULL_UP | u.V2_PULL_DOWN,
        IN | 1 << 13,
        IN | u.V2_USED,
    ],
)
def test_flags_that_do_not_go_together(flags):
    assert refusal(check_flags, flags) == "EINVAL"


def test_flags_that_do():
    assert refusal(check_flags, IN | u.V2_CLOCK_HTE) == "ENOTSUP"
    assert refusal(check_flags, IN | OUT | u.V2_CLOCK_HTE) == "ENOTSUP", "looked at before directions"
    assert refusal(check_flags, u.V2_USED | u.V2_CLOCK_HTE) == "EINVAL", "but after flags that are none"
    for flags in (0, IN, OUT | LOW | u.V2_OPEN_DRAIN, IN | RISE | FALL | u.V2_PULL_UP | u.V2_CLOCK_REALTIME):
        check_flags(flags)


def test_requests_that_are_refused(chip):
    chip.request(IN, 4)
    assert refusal(chip.request, IN, 5, 4) == "EBUSY"
    assert refusal(chip.request, IN, 5, 5) == "EBUSY"
    assert refusal(chip.request, IN, 54) == "EINVAL"
    assert refusal(chip.request, IN) == "EINVAL"
    assert refusal(chip.request, IN, 5, padding=1) == "EINVAL"
    assert refusal(chip.request, OUT, 5, attributes=[(u.ATTR_DEBOUNCE, 0, 10, 1)]) == "EINVAL"
    assert refusal(chip.request, IN, 5, attributes=[(u.ATTR_FLAGS, 0, IN | OUT, 1)]) == "EINVAL"
    assert refusal(chip.request, IN, 5, unused=1) == "EINVAL", "attributes that do not count must be zero"
    assert refusal(chip.request, IN, 4, 54) == "EBUSY", "lines are taken in order"
    assert refusal(chip.request, IN, 54, 4) == "EINVAL"
    chip.request(IN, 5)


def test_a_request_that_fails_half_way_frees_what_it_took(chip):
    chip.request(IN, 5)
    chip.info(4, u.GPIO_V2_GET_LINEINFO_WATCH_IOCTL)
    assert refusal(chip.request, OUT | LOW, 4, 5, 6) == "EBUSY"
    assert chip.changes() == [
        (u.CHANGED_REQUESTED, 4, OUT | LOW | u.V2_USED),
        (u.CHANGED_RELEASED, 4, OUT),
    ]
    assert chip.lines.lines[4].level == 1 and chip.lines.lines[6].flags == IN
    assert refusal(chip.request, IN, 4, 4) == "EBUSY"
    chip.request(IN, 4, 6)
    assert len(chip.lines.requests) == 2 and len(chip.fds) == 2


def test_no_request_without_room_for_its_descriptor(chip, monkeypatch):
    def full(theirs):
        raise OSError(errno.EMFILE, "full")

    with monkeypatch.context() as patched:
        patched.setattr(chip, "add", full)
        assert refusal(chip.request, IN | FALL, 4) == "EMFILE"
    assert chip.lines.requests == {} and not chip.lines.watched(4)
    chip.request(IN, 4)


def test_a_queue_holds_two_or_is_refused(chip):
    chip.info(4, u.GPIO_V2_GET_LINEINFO_WATCH_IOCTL)
    assert refusal(chip.request, IN | FALL, 4, size=1) == "EINVAL"
    assert chip.changes() == [(u.CHANGED_RELEASED, 4, IN)], "it fails before anybody is told of the request"
    request, fd = chip.request(IN, 4, size=1)
    chip.changes()
    assert refusal(chip.configure, request, IN | FALL) == "EINVAL"
    assert chip.info(4)[1] == IN | FALL | u.V2_USED and chip.changes() == []
    chip.lines.drive(4, 1, 1)
    chip.lines.drive(4, 0, 2)
    assert chip.events(fd) == [] and not chip.lines.watched(4)


def test_a_consumer_without_name(chip):
    chip.request(IN, 4, consumer=b"")
    chip.request(IN, 5, consumer=b"x" * 32)
    assert chip.info(4)[0] == b"?" and chip.info(5)[0] == b"x" * 31


def test_attributes_go_to_their_lines_and_the_first_wins(chip):
    attributes = [
        (u.ATTR_FLAGS, 0, OUT, 0b001),
        (u.ATTR_FLAGS, 0, OUT | LOW, 0b011),
        (u.ATTR_OUTPUT_VALUES, 0, 0b011, 0b011),
        (u.ATTR_DEBOUNCE, 0, 250, 0b100),
    ]
    chip.request(IN, 10, 11, 12, attributes=attributes)
    lines = chip.lines.lines
    assert [lines[k].flags for k in (10, 11, 12)] == [OUT, OUT | LOW, IN]
    assert [lines[k].level for k in (10, 11)] == [1, 0] and lines[12].debounce_us == 250
    info = u.GPIO_V2_LINE_INFO.pack(b"", b"", 12, 0, 0, b"")
    name, consumer, offset, count, flags, listed = u.GPIO_V2_LINE_INFO.unpack(
        chip.call(u.GPIO_V2_GET_LINEINFO_IOCTL, info)
    )
    assert (name.rstrip(b"\0"), consumer.rstrip(b"\0"), offset, count) == (b"GPIO12", b"test", 12, 1)
    assert flags == IN | u.V2_USED and listed[:16] == u.GPIO_V2_LINE_ATTRIBUTE.pack(3, 0, 250)


def test_values(chip):
    request, _ = chip.request(OUT, 20, 21, 22)
    mixed, _ = chip.request(IN | LOW, 30, 31, attributes=[(u.ATTR_FLAGS, 0, OUT, 1)])
    seen = []
    chip.lines.on_output = lambda offset, level: seen.append((offset, level))
    chip.put(request, 0b101, 0b111)
    assert seen == [(20, 1), (21, 0), (22, 1)]
    assert chip.values(request, 0b111) == 0b101 and chip.values(request, 0b110) == 0b100
    assert refusal(chip.put, request, 1, 0) == refusal(chip.values, request, 1 << 3) == "EINVAL"
    asked = u.GPIO_V2_LINE_VALUES.pack(0, 1 << 63 | 1)
    told = chip.line(request, u.GPIO_V2_LINE_GET_VALUES_IOCTL, asked)
    assert u.GPIO_V2_LINE_VALUES.unpack(told) == (1, 1 << 63 | 1), "the mask comes back as it was"
    assert refusal(chip.put, mixed, 3, 3) == "EPERM" and chip.lines.lines[30].level == 0
    assert chip.values(mixed, 0b10) == 0b10, "a low line that is active low reads active"


def test_open_drain_lets_go(chip):
    request, _ = chip.request(OUT | u.V2_OPEN_DRAIN | u.V2_PULL_UP, 9)
    chip.put(request, 1, 1)
    chip.lines.drive(9, 0, 0)
    assert chip.values(request, 1) == 0
    chip.lines.drive(9, 1, 0)
    assert chip.values(request, 1) == 1
    chip.put(request, 0, 1)
    assert chip.values(request, 1) == 0


def test_edges_by_line_and_polarity(chip):
    _, fd = chip.request(
        IN | RISE | FALL, 1, 2, 3, attributes=[(1, 0, IN | RISE, 0b010), (1, 0, IN | RISE | LOW, 0b100)]
    )
    for t_ns, (offset, level) in enumerate([(1, 1), (2, 1), (3, 1), (2, 0), (3, 0), (1, 0), (1, 0)]):
        chip.lines.drive(offset, level, t_ns)
    rise, fall = u.EVENT_RISING_EDGE, u.EVENT_FALLING_EDGE
    assert chip.events(fd) == [(0, rise, 1, 1, 1), (1, rise, 2, 2, 1), (4, rise, 3, 3, 1), (5, fall, 1, 4, 2)]


def test_a_line_that_floats_is_no_edge_from_its_level(chip):
    _, fd = chip.request(IN | RISE | FALL, 1, 2, attributes=[(1, 0, IN | RISE | FALL | u.V2_PULL_UP, 0b10)])
    for t_ns, (offset, level) in enumerate([(1, 0), (2, 1), (2, 0), (1, 1)]):
        chip.lines.drive(offset, level, t_ns)
    assert [event[:3] for event in chip.events(fd)] == [(2, 2, 2), (3, 1, 1)]


@pytest.mark.parametrize(("wanted", "kept"), [(0, 16), (4, 4), (5, 8), (5000, 1024)])
def test_a_full_queue_loses_its_oldest(chip, wanted, kept):
    request, fd = chip.request(IN | FALL, 17, size=wanted)
    sent = kept + 7
    for t_ns in range(sent):
        chip.lines.edge(17, False, t_ns)
    got = chip.events(fd)
    assert [event[4] for event in got] == list(range(8, sent + 1))
    assert request.dropped == 7 == chip.lines.dropped() and chip.lines.sent() == sent


def test_reading_makes_room(chip):
    request, fd = chip.request(IN | FALL, 17)
    for _ in range(5):
        for t_ns in range(16):
            chip.lines.edge(17, False, t_ns)
        assert request.unread == 16 and len(chip.events(fd)) == 16
    assert request.dropped == 0 and request.unread == 0


def test_set_config_turns_a_line_round(chip):
    request, fd = chip.request(OUT, 6, attributes=[(u.ATTR_OUTPUT_VALUES, 0, 1, 1)])
    config = u.GPIO_V2_LINE_CONFIG.pack(IN | FALL, 0, *[0] * 45)
    chip.line(request, u.GPIO_V2_LINE_SET_CONFIG_IOCTL, config)
    chip.lines.drive(6, 1, 5)
    chip.lines.drive(6, 0, 7)
    assert [event[:2] for event in chip.events(fd)] == [(7, u.EVENT_FALLING_EDGE)]
    chip.configure(request, IN)
    chip.lines.drive(6, 1, 8)
    chip.lines.drive(6, 0, 9)
    assert chip.events(fd) == [] and not chip.lines.watched(6)
    assert refusal(chip.line, request, u.GPIO_V2_LINE_SET_CONFIG_IOCTL + 1, config) == "EINVAL"


def test_a_line_that_is_given_no_direction_stays_as_it_is(chip):
    attributes = [(u.ATTR_FLAGS, 0, OUT, 0b10), (u.ATTR_OUTPUT_VALUES, 0, 0b10, 0b10)]
    request, fd = chip.request(IN | FALL, 6, 7, attributes=attributes)
    for offset in (6, 7):
        chip.info(offset, u.GPIO_V2_GET_LINEINFO_WATCH_IOCTL)
    chip.configure(request, LOW)
    assert [line.flags for line in chip.lines.lines[6:8]] == [IN | FALL, OUT] and chip.lines.lines[7].level
    assert chip.changes() == []
    chip.configure(request, 0, (u.ATTR_FLAGS, 0, OUT | LOW, 0b10))
    assert chip.changes() == [(u.CHANGED_CONFIG, 7, OUT | LOW | u.V2_USED)] and chip.lines.lines[7].level
    chip.lines.drive(6, 1, 8)
    chip.lines.drive(6, 0, 9)
    assert [event[0] for event in chip.events(fd)] == [9]


def test_release_frees_the_line_and_keeps_its_state(chip):
    request, _ = chip.request(OUT | LOW, 6, attributes=[(u.ATTR_OUTPUT_VALUES, 0, 0, 1)])
    assert chip.lines.release(request.key) is request and chip.lines.release(request.key) is None
    line = chip.lines.lines[6]
    assert line.request is None and line.flags == OUT and line.level == 1
    chip.request(IN, 6)


def test_the_event_clock_is_told_until_a_version_2_request_says_otherwise(chip):
    request, _ = chip.request(IN | RISE | u.V2_CLOCK_REALTIME, 6)
    chip.close(request)
    assert chip.info(6)[1] == IN | u.V2_CLOCK_REALTIME
    packed = u.GPIOEVENT_REQUEST.pack(6, 0, 3, b"", 0)
    fd = u.GPIOEVENT_REQUEST.unpack(chip.call(u.GPIO_GET_LINEEVENT_IOCTL, packed, chip.v1))[-1]
    assert chip.info(6)[1] == IN | u.V2_CLOCK_REALTIME | u.V2_USED, "and of version 1 no edges are told"
    chip.lines.drive(6, 1, 5)
    assert u.GPIOEVENT_DATA.unpack(os.read(fd, 16)) == (5, u.EVENT_RISING_EDGE)
    chip.close(next(iter(chip.lines.requests.values())))
    chip.close(chip.request(0, 6)[0])
    assert chip.info(6)[1] == IN


def test_one_open_watches_in_one_version(chip):
    asked = u.GPIOLINE_INFO.pack(8, 0, b"", b"")
    far = u.GPIO_V2_LINE_INFO.pack(b"", b"", 54, 0, 0, b"")
    assert refusal(chip.call, u.GPIO_V2_GET_LINEINFO_WATCH_IOCTL, far) == "EINVAL"
    chip.call(u.GPIO_GET_LINEINFO_WATCH_IOCTL, asked, chip.v1)
    for offset in (8, 9):
        assert refusal(chip.info, offset, u.GPIO_V2_GET_LINEINFO_WATCH_IOCTL) == "EPERM"
    chip.call(u.GPIO_GET_LINEINFO_UNWATCH_IOCTL, (8).to_bytes(4, "little"))
    assert refusal(chip.info, 8, u.GPIO_V2_GET_LINEINFO_WATCH_IOCTL) == "EPERM", "for good"
    chip.call(u.GPIO_GET_LINEINFO_WATCH_IOCTL, asked, chip.v1)


def test_32_changes_are_kept(chip):
    chip.info(8, u.GPIO_V2_GET_LINEINFO_WATCH_IOCTL)
    for _ in range(20):
        chip.close(chip.request(IN, 8)[0])
    assert [change[0] for change in chip.changes()] == [u.CHANGED_REQUESTED, u.CHANGED_RELEASED] * 16
    chip.close(chip.request(OUT, 8)[0])
    assert [change[2] for change in chip.changes()] == [OUT | u.V2_USED, OUT], "reading makes room"


def test_line_info_wants_its_padding_zero(chip):
    asked = u.GPIO_V2_LINE_INFO.pack(b"", b"", 8, 0, 0, b"")[:-1] + b"\1"
    for command in (u.GPIO_V2_GET_LINEINFO_IOCTL, u.GPIO_V2_GET_LINEINFO_WATCH_IOCTL):
        assert refusal(chip.call, command, asked) == "EINVAL"
    assert chip.handle.watched == set()


def test_watching_a_line(chip):
    info = u.GPIO_V2_LINE_INFO.pack(b"", b"", 8, 0, 0, b"")
    chip.call(u.GPIO_V2_GET_LINEINFO_WATCH_IOCTL, info)
    assert refusal(chip.call, u.GPIO_V2_GET_LINEINFO_WATCH_IOCTL, info) == "EBUSY"
    chip.request(IN, 8)
    chip.request(IN, 9)
    told = u.GPIO_V2_LINE_INFO_CHANGED.unpack(chip.end.recv(4096))
    assert told[2] == u.CHANGED_REQUESTED and u.GPIO_V2_LINE_INFO.unpack(told[0])[2] == 8
    chip.call(u.GPIO_GET_LINEINFO_UNWATCH_IOCTL, (8).to_bytes(4, "little"))
    number = (8).to_bytes(4, "little")
    assert refusal(chip.call, u.GPIO_GET_LINEINFO_UNWATCH_IOCTL, number) == "EBUSY"
    far = u.GPIO_V2_LINE_INFO.pack(b"", b"", 54, 0, 0, b"")
    assert refusal(chip.call, u.GPIO_V2_GET_LINEINFO_IOCTL, far) == "EINVAL"
    assert refusal(chip.call, 0xC008B47F, bytes(8)) == "EINVAL"


def test_version_1_watch_speaks_version_1(chip):
    asked = u.GPIOLINE_INFO.pack(8, 0, b"", b"")
    chip.call(u.GPIO_GET_LINEINFO_WATCH_IOCTL, asked, chip.v1)
    chip.request(OUT | LOW | u.V2_OPEN_DRAIN, 8)
    info, _, kind = u.GPIOLINE_INFO_CHANGED.unpack(chip.end.recv(4096))
    flags = u.V1_KERNEL | u.V1_IS_OUT | u.V1_ACTIVE_LOW | u.V1_OPEN_DRAIN
    assert kind == u.CHANGED_REQUESTED and u.GPIOLINE_INFO.unpack(info)[:2] == (8, flags)


def test_version_1_refusals(chip):
    def event(offset, handle_flags, event_flags):
        packed = u.GPIOEVENT_REQUEST.pack(offset, handle_flags, event_flags, b"", 0)
        return chip.call(u.GPIO_GET_LINEEVENT_IOCTL, packed, chip.v1)

    assert refusal(event, 3, u.V1_REQUEST_OUTPUT, 1) == "EINVAL"
    assert refusal(event, 3, 0, 4) == "EINVAL"
    fd = u.GPIOEVENT_REQUEST.unpack(event(3, u.V1_ACTIVE_LOW, 1))[-1]
    assert refusal(event, 3, 0, 1) == "EBUSY"
    status = os.fstat(fd)
    request = chip.lines.requests[(status.st_dev, status.st_ino)]
    levels = bytes(64)
    assert refusal(chip.line, request, u.GPIOHANDLE_SET_LINE_VALUES_IOCTL, levels, chip.v1) == "EINVAL"
    assert chip.line(request, u.GPIOHANDLE_GET_LINE_VALUES_IOCTL, levels, chip.v1)[0] == 1
    chip.lines.drive(3, 1, 5)
    chip.lines.drive(3, 0, 6)
    assert u.GPIOEVENT_DATA.unpack(os.read(fd, 64)) == (6, u.EVENT_RISING_EDGE)


def test_version_1_handles_turn_round(chip):
    packed = u.GPIOHANDLE_REQUEST.pack(*[2, 3, *[0] * 62], u.V1_REQUEST_INPUT, bytes(64), b"", 2, 0)
    fd = u.GPIOHANDLE_REQUEST.unpack(chip.call(u.GPIO_GET_LINEHANDLE_IOCTL, packed, chip.v1))[-1]
    status = os.fstat(fd)
    request = chip.lines.requests[(status.st_dev, status.st_ino)]
    config = u.GPIOHANDLE_CONFIG.pack(u.V1_REQUEST_OUTPUT, bytes([0, 9, *[0] * 62]), bytes(16))
    chip.line(request, u.GPIOHANDLE_SET_CONFIG_IOCTL, config, chip.v1)
    assert [chip.lines.lines[k].level for k in (2, 3)] == [0, 1]
    assert refusal(chip.line, request, u.GPIO_V2_LINE_GET_VALUES_IOCTL, bytes(16), chip.v1) == "EINVAL"
    aimless = u.GPIOHANDLE_CONFIG.pack(u.V1_ACTIVE_LOW, bytes(64), bytes(16))
    assert refusal(chip.line, request, u.GPIOHANDLE_SET_CONFIG_IOCTL, aimless, chip.v1) == "EINVAL"
    assert [chip.lines.lines[k].flags for k in (2, 3)] == [OUT, OUT]
