"""What spidev's file operations answer, asked by whole programs of the rig's own nodes."""

import pytest

from tests.rig.conftest import ON_KERNEL

pytestmark = pytest.mark.skipif(ON_KERNEL, reason="CUSE has file operations of its own")


def test_a_stream_has_no_position(rig):
    text = """
        import ctypes, errno, json, os
        def refused(action, *arguments):
            try:
                return action(*arguments)
            except OSError as error:
                return errno.errorcode[error.errno]
        fd = os.open("/dev/spidev0.0", os.O_RDWR)
        plain = os.open("/etc/hostname", os.O_RDONLY)
        said = [refused(os.lseek, fd, 0, whence) for whence in (0, 1, 2)]
        said += [refused(os.pread, fd, 1, 0), refused(os.pwrite, fd, b"x", 0)]
        said += [refused(os.preadv, fd, [bytearray(1)], 0), refused(os.pwritev, fd, [b"x"], 0)]
        libc = ctypes.CDLL(None, use_errno=True)
        def raw(call, *arguments):
            call.restype = ctypes.c_ssize_t
            return errno.errorcode[ctypes.get_errno()] if call(*arguments) < 0 else "ok"
        vector = (ctypes.c_size_t * 2)(ctypes.addressof(ctypes.create_string_buffer(8)), 8)
        at = ctypes.c_int64(0)
        said += [raw(libc.preadv, fd, vector, 1, at), raw(libc.pwritev, fd, vector, 1, at)]
        try:
            open("/dev/spidev0.0", "r+b")
        except OSError as error:
            said.append(str(error))
        fine = [os.lseek(plain, 2, 0), os.pread(plain, 0, 0) == b"", len(os.read(fd, 3)), os.write(fd, b"ab")]
        print(json.dumps([said, fine]))
    """
    said, fine = rig(text).said
    assert said == ["ESPIPE"] * 9 + ["File or stream is not seekable."]
    assert fine == [2, True, 3, 2]


def test_access_modes_and_kinds_of_open(rig):
    text = """
        import errno, fcntl, json, os
        from firmware.rig.uapi import SPI_IOC_MESSAGE_1
        path = "/dev/spidev0.0"
        def refused(action, *arguments):
            try:
                return action(*arguments)
            except OSError as error:
                return errno.errorcode[error.errno]
        reads, writes = os.open(path, os.O_RDONLY), os.open(path, os.O_WRONLY)
        fds = [os.open(path, os.O_RDWR) for _ in range(3)] + [reads, writes]
        said = [refused(os.write, reads, b"x"), refused(os.read, writes, 1)]
        said += [refused(os.writev, reads, [b"x"]), refused(os.readv, writes, [bytearray(1)])]
        said += [len(fcntl.ioctl(fd, SPI_IOC_MESSAGE_1, bytes(32))) for fd in fds[-2:]]
        pieces = [bytearray(size) for size in (0, 2, 0, 3)]
        said += [refused(os.writev, fds[0], [b"", b""]), os.readv(fds[0], pieces)]
        said += [refused(os.open, path, os.O_CREAT | os.O_EXCL), refused(os.open, path, os.O_DIRECTORY)]
        said += [refused(fcntl.ioctl, fds[0], 0x5401, bytes(64))]
        print(json.dumps([len(set(fds)), said]))
    """
    opened, said = rig(text).said
    assert opened == 5, "an open excludes no other"
    assert said == ["EBADF"] * 4 + [32] * 2 + [0, 5, "EEXIST", "ENOTDIR", "ENOTTY"]


def test_the_speed_is_forgotten_with_the_last_close(rig):
    text = """
        import json, os, spidev, subprocess, sys, time
        def told():
            spi = spidev.SpiDev(0, 0)
            found = spi.max_speed_hz, spi.mode
            spi.close()
            return found
        spi = spidev.SpiDev(0, 0)
        spi.max_speed_hz, spi.mode = 1_000_000, 1
        said = [told()]
        number = os.dup(spi.fileno())
        spi.close()
        said.append(told())
        child = subprocess.Popen(["sleep", "60"], pass_fds=[number])
        os.close(number)
        said.append(told())
        child.kill(); child.wait()
        said.append(told())
        print(json.dumps(said))
    """
    assert rig(text).said == [[1_000_000, 1]] * 3 + [[125_000_000, 1]]


def test_what_is_not_plain_is_looked_at(rig):
    text = """
        import ctypes, errno, fcntl, json, os, spidev, struct
        from firmware.rig.uapi import SPI_IOC_MESSAGE_1
        from tests.rig.driver import bring_up
        spi = spidev.SpiDev(0, 0)
        bring_up(spi)
        def send(sent, delay_us=0, cs_change=0, lines=(0, 0)):
            tx, rx = ctypes.create_string_buffer(bytes(sent)), ctypes.create_string_buffer(len(sent))
            buffers = ctypes.addressof(tx), ctypes.addressof(rx)
            words = *buffers, len(sent), 0, delay_us, 8, cs_change, *lines, 0, 0
            packed = bytearray(struct.pack("<QQIIHBBBBBB", *words))
            try:
                moved = fcntl.ioctl(spi.fileno(), SPI_IOC_MESSAGE_1, packed)
            except OSError as error:
                return errno.errorcode[error.errno]
            return [moved, list(rx.raw)]
        said = [send([0x20, 0, 0]), send([0x20, 0, 0], delay_us=500)]
        said += [send([0x20, 0], cs_change=1), send([0])]
        said += [send([0], lines=lines) for lines in ((1, 1), (2, 0), (0, 4))]
        print(json.dumps(said))
    """
    register = [3, [0, 0, 0x3E]]
    one = [1, [0]]
    assert rig(text).said == [register, register, [2, [0, 0]], [1, [0x3E]], one, "EINVAL", "EINVAL"]
