"""A board's insides, run by MicroPython's unix port: flash with a real littlefs, boot, REPL.

See pico_board.py. Its folder holds flash.img, flash.log (of every flash operation), state.json (counters)
and told.json: `raw` (a soft reset in the raw REPL: main.py does not run), `bytes` and `writes` (power fails
at that one, -1: never), `who` (implementation name, version, platform, machine). Exit 3: reset, 4: soft
reset, 5: to the bootloader, 6: soft reset at the prompt, 9: power failed.
"""

import json
import os
import struct
import sys

import micropython

BLOCK = 4096
RESET, SOFT, BOOTLOADER, SOFT_START, POWER = 3, 4, 5, 6, 9
WINDOW = 128
with open("told.json") as file:
    TOLD = json.load(file)
real_out, real_in = sys.stdout.buffer, sys.stdin.buffer
state = open("state.json", "r+b")
log = open("flash.log", "ab")
counts = json.loads(state.read())


def leave(code):
    """End this process and all that it does to the flash."""
    flash.dead = True
    state.seek(0)
    state.write(f"{json.dumps(counts):<80}")
    raise SystemExit(code)


class Flash:
    """A block device in a file, as rp2.Flash is one; an operation that power fails in is half done."""

    def __init__(self, path):
        self.file = open(path, "r+b")
        self.blocks = self.file.seek(0, 2) // BLOCK
        self.dead = False

    def _count(self):
        if self.dead:
            raise SystemExit(POWER)
        counts["writes"] += 1
        return counts["writes"] == TOLD["writes"]

    def readblocks(self, block, buffer, offset=0):
        self.file.seek(block * BLOCK + offset)
        self.file.readinto(buffer)

    def writeblocks(self, block, buffer, offset=0):
        fails = self._count()
        data = bytes(buffer)[: len(buffer) // 2 if fails else len(buffer)]
        log.write(struct.pack("<BIII", 1, block, offset, len(data)) + data)
        self.file.seek(block * BLOCK + offset)
        self.file.write(data)
        if fails:
            leave(POWER)

    def ioctl(self, op, arg):
        if op == 4:
            return self.blocks
        if op == 5:
            return BLOCK
        if op == 6:
            fails = self._count()
            log.write(struct.pack("<BIII", 0, arg, 0, BLOCK // 2 if fails else BLOCK))
            self.file.seek(arg * BLOCK)
            self.file.write(b"\xff" * (BLOCK // 2 if fails else BLOCK))
            if fails:
                leave(POWER)
            return 0
        return None


class Stdin:
    """What the host sends, counted."""

    def read(self, n=1):
        if counts["bytes"] == TOLD["bytes"]:
            leave(POWER)
        byte = real_in.read(1)
        if not byte:
            leave(POWER)
        counts["bytes"] += 1
        return byte


class Pin:
    IN, OUT, PULL_DOWN = 0, 1, 2

    def __init__(self, number, mode=0, pull=None, value=0):
        pass


class Machine:
    """machine, as far as it is used."""

    Pin = Pin

    def reset(self):
        leave(RESET)

    def bootloader(self):
        leave(BOOTLOADER)


class Implementation:
    name, version, _machine = TOLD["who"][0], tuple(TOLD["who"][1]), TOLD["who"][3]


class Stream:
    def __init__(self, buffer):
        self.buffer = buffer


class Sys:
    """sys, as this board has it."""

    implementation = Implementation
    platform = TOLD["who"][2]
    stdin, stdout = Stream(Stdin()), Stream(real_out)

    def __init__(self, real):
        self.path, self.modules = real.path, real.modules
        self.print_exception = real.print_exception
        self.version = real.version


def execute(code, scope):
    """Run code as the REPL does: 4, what went wrong if anything did, 4."""
    try:
        exec(code, scope)
        real_out.write(b"\x04")
    except Exception as error:
        real_out.write(b"\x04")
        print_exception(error)
    real_out.write(b"\x04")


def pasted():
    """Code in raw paste mode, None when it was broken off."""
    real_out.write(b"R\x01" + struct.pack("<H", WINDOW) + b"\x01")
    code = bytearray()
    left = WINDOW
    while True:
        byte = stdin.read()
        if byte in b"\x03\x04":
            real_out.write(b"\x04")
            return bytes(code) if byte == b"\x04" else None
        code += byte
        left -= 1
        if left == 0:
            real_out.write(b"\x01")
            left = WINDOW


def raw_repl(scope):
    """Until Ctrl-B."""
    real_out.write(b"raw REPL; CTRL-B to exit\r\n>")
    line = bytearray()
    while True:
        byte = stdin.read()
        if byte == b"\x01":
            if line == b"\x05A":
                code = pasted()
                if code is None:
                    real_out.write(b"\x04KeyboardInterrupt: \r\n\x04")
                else:
                    execute(code, scope)
                real_out.write(b">")
            else:
                real_out.write(b"raw REPL; CTRL-B to exit\r\n>")
        elif byte == b"\x02":
            return
        elif byte == b"\x04":
            real_out.write(b"OK")
            if not line:
                real_out.write(b"\r\nMPY: soft reboot\r\n")
                leave(SOFT)
            execute(bytes(line), scope)
            real_out.write(b">")
        elif byte != b"\x03":
            line += byte
            continue
        line = bytearray()


def friendly(line, scope):
    """Run a line that a person typed."""
    try:
        exec(line, scope)
    except Exception as error:
        print_exception(error)


def repl(scope):
    """For ever, the prompt for people first unless a soft reset came from the raw one."""
    if TOLD["raw"]:
        raw_repl(scope)
    while True:
        real_out.write(
            b"MicroPython v1.22.1 on 2024-01-05; " + Implementation._machine.encode() + b"\r\n>>> "
        )
        byte = line = b""
        while byte not in (b"\x01", b"\x02"):
            byte = stdin.read()
            if byte == b"\x04" and not line:
                leave(SOFT_START)
            if byte in b"\r\x03":
                real_out.write(b"\r\n")
                if byte == b"\r":
                    friendly(line, scope)
                real_out.write(b">>> ")
                line = b""
            elif byte >= b" ":
                real_out.write(byte)
                line += byte
        if byte == b"\x01":
            real_out.write(b"\r\n")
            raw_repl(scope)


def boot():
    """Mount the flash, run main.py, serve the REPL."""
    try:
        volume = os.VfsLfs2(flash, progsize=256)
    except OSError:  # a new one, as MicroPython's _boot.py does it
        os.VfsLfs2.mkfs(flash, progsize=256)
        volume = os.VfsLfs2(flash, progsize=256)
    os.umount("/")
    os.mount(volume, "/")
    sys.path[:] = [""]
    sys.modules["sys"], sys.modules["machine"] = Sys(sys), Machine()
    try:
        if not TOLD["raw"]:
            with open("/main.py") as file:
                exec(file.read(), {"__name__": "__main__"})
    except OSError:
        pass
    except Exception as error:
        print_exception(error)
    repl({"__name__": "__main__"})


print_exception = sys.print_exception
flash = Flash("flash.img")
stdin = Stdin()
micropython.kbd_intr(-1)
boot()
