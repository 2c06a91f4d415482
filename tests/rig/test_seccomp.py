"""The filter's verdict on calls of every ABI, by running its BPF; and 32-bit calls on the real thing."""

import struct

import pytest

from firmware.rig import uapi as u
from firmware.rig.arch import MACHINES, NONE
from firmware.rig.seccomp import FD_END, FD_FIRST, filter_program

SPI, GPIO = u.SPI_IOC_MESSAGE_1, u.GPIO_V2_LINE_GET_VALUES_IOCTL
STOP, LET = u.SECCOMP_RET_USER_NOTIF, u.SECCOMP_RET_ALLOW


def verdict(program: bytes, audit: int, number: int, *args: int) -> int:
    """Run classic BPF on a seccomp_data."""
    data = struct.pack("<iIQ6Q", number, audit, 0, *args, *[0] * (6 - len(args)))
    code = list(u.SOCK_FILTER.iter_unpack(program))
    at = accumulator = 0
    while True:
        operation, yes, no, k = code[at]
        at += 1
        if operation == 0x20:
            accumulator = struct.unpack_from("<I", data, k)[0]
        elif operation == 0x54:
            accumulator &= k
        elif operation == 0x15:
            at += yes if accumulator == k else no
        elif operation == 0x35:
            at += yes if accumulator >= k else no
        else:
            assert operation == 0x06
            return k


ABIS = [(name, k) for name in MACHINES for k in (0, 1)]


@pytest.mark.parametrize(("machine", "k"), ABIS)
def test_what_is_stopped(machine, k):
    program, abi = filter_program(MACHINES[machine]), MACHINES[machine].abis[k]

    def runs(number, *args):
        return verdict(program, abi.audit, number, *args)

    for number in (abi.open, abi.openat, abi.openat2):
        if number != NONE:
            assert runs(number, 0, 0, 0) == STOP
    assert runs(abi.ioctl, 5, SPI) == runs(abi.ioctl, 5, GPIO) == STOP
    assert runs(abi.ioctl, 5, 0x5401) == runs(abi.ioctl, 900, 0x80045430) == LET
    in_range = {abi.read, abi.write, abi.readv, abi.writev, abi.dup, *abi.positioned}
    for number in in_range:
        assert [runs(number, fd) for fd in (0, FD_FIRST - 1, FD_FIRST, FD_END - 1, FD_END)] == [
            LET,
            LET,
            STOP,
            STOP,
            LET,
        ]
    for number in abi.fcntl:
        assert runs(number, FD_FIRST, 0) == runs(number, FD_FIRST, 1030) == STOP
        assert runs(number, FD_FIRST, 3) == runs(number, 3, 0) == LET
    stopped = {abi.open, abi.openat, abi.openat2, abi.ioctl, *abi.fcntl, *in_range}
    untouched = set(range(500)) - stopped
    assert {runs(number, FD_FIRST, SPI) for number in untouched} == {LET}


@pytest.mark.parametrize("machine", list(MACHINES))
def test_numbers_of_another_abi_mean_nothing(machine):
    program, other = filter_program(MACHINES[machine]), 0xC0000016
    assert {verdict(program, other, number, FD_FIRST, SPI) for number in range(500)} == {LET}


def test_a_call_of_a_32_bit_program(rig):
    text = """
        import ctypes, json, mmap, os, platform, sys
        if platform.machine() != "x86_64":
            print(json.dumps("other machine")); sys.exit()
        low = ctypes.CDLL(None).mmap
        low.restype, low.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 4
        MAP_32BIT, RWX = 0x40, 7
        page = low(None, 4096, RWX, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_32BIT, -1, 0)
        # push rbx; eax=edi; ebx=esi; r9d=ecx; ecx=edx; edx=r9d; int 0x80; pop rbx; cdqe; ret
        code = bytes.fromhex("53" "89f8" "89f3" "4189c9" "89d1" "4489ca" "cd80" "5b" "4898" "c3")
        ctypes.memmove(page, code, len(code))
        call = ctypes.CFUNCTYPE(ctypes.c_long, *[ctypes.c_uint32] * 4)(page)
        path, message, tx, rx = (page + k for k in (256, 512, 768, 1024))
        ctypes.memmove(path, b"/dev/spidev0.0\\0", 15)
        fd = call(5, path, os.O_RDWR, 0)
        if fd == -38:
            print(json.dumps("no 32-bit programs")); sys.exit()
        import struct, time
        time.sleep(0.15)
        def send(sent):
            ctypes.memmove(tx, bytes(sent), len(sent))
            high = 0xFFFFFFFF << 32  # where a C compiler widens pointers with their sign
            packed = struct.pack("<QQIIHBBBBBB", tx | high, rx | high, len(sent), *[0] * 8)
            ctypes.memmove(message, packed, 32)
            moved = call(54, fd, 0x40206B00, message)
            return moved, list(ctypes.string_at(rx, len(sent)))
        send([0x06]); time.sleep(0.001); send([0x11])
        moved, answer = send([0x20, 0, 0])
        vectors = struct.pack("<IIII", tx, 2, tx + 2, 3)
        ctypes.memmove(message, vectors, 16)
        print(json.dumps([moved, answer[2], call(146, fd, message, 2), call(6, fd, 0, 0)]))
    """
    said = rig(text).said
    if isinstance(said, str):
        pytest.skip(said)
    assert said == [3, 0x3E, 5, 0]
