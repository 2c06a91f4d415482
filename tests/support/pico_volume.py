"""A board's flash without the board: run code on it, boot it, boot it after power failed at any write.

Run by MicroPython's unix port, in the board's folder (see pico_interpreter.py). told.json holds `code`, which
is run with the flash of flash.img mounted, or "" for: every write of flash.log onto before.img is left out,
then done by half, and what lies there is booted twice. The last line printed is JSON: what ran at both
starts, "repl" for nothing.
"""

import json
import os
import struct
import sys

BLOCK = 4096
told = []


class Flash:
    """A copy of the flash in memory."""

    def __init__(self, content):
        self.content = bytearray(content)

    def readblocks(self, block, buffer, offset=0):
        at = block * BLOCK + offset
        buffer[:] = memoryview(self.content)[at : at + len(buffer)]

    def writeblocks(self, block, buffer, offset=0):
        at = block * BLOCK + offset
        self.content[at : at + len(buffer)] = buffer

    def ioctl(self, op, arg):
        if op == 4:
            return len(self.content) // BLOCK
        if op == 5:
            return BLOCK
        if op == 6:
            self.content[arg * BLOCK : (arg + 1) * BLOCK] = b"\xff" * BLOCK
            return 0

    def mount(self):
        try:
            volume = os.VfsLfs2(self, progsize=256)
        except OSError:  # a new one
            os.VfsLfs2.mkfs(self, progsize=256)
            volume = os.VfsLfs2(self, progsize=256)
        os.mount(volume, "/")


class Pin:
    IN, OUT, PULL_DOWN = "in", "out", "pull-down"

    def __init__(self, number, mode=None, pull=None):
        told.append((number, mode, pull))


class Machine:
    Pin = Pin

    def __init__(self):
        self.tags = "repl"

    def ran(self, tags):
        told.append("ran")
        self.tags = "".join(sorted(set(tags)))


def boot(flash):
    """What runs."""
    flash.mount()
    sys.path[:] = [""]
    sys.modules["machine"] = machine = Machine()
    try:
        with open("/main.py") as file:
            exec(file.read(), {"__name__": "__main__"})
    except OSError:
        pass
    for name in list(sys.modules):
        if name.startswith("evokd"):
            del sys.modules[name]
    os.umount("/")
    return machine.tags


def operations(log):
    """(address, bytes) of every write; an erasure is a write of ones."""
    while True:
        head = log.read(13)
        if not head:
            return
        kind, block, offset, length = struct.unpack("<BIII", head)
        yield block * BLOCK + offset, log.read(length) if kind else b"\xff" * length


def outcome(content):
    flash = Flash(content)
    return boot(flash), boot(flash)


def cuts(content, log):
    found = []
    for at, written in operations(log):
        found.append(outcome(content))
        half = len(written) // 2
        content[at : at + half] = written[:half]
        found.append(outcome(content))
        content[at : at + len(written)] = written
    found.append(outcome(content))
    print("\n" + json.dumps(found))


with open("told.json") as file:
    code = json.load(file)["code"]
if code:
    image = open("flash.img", "r+b")
    flash = Flash(image.read())
    os.umount("/")
    flash.mount()
    exec(code, {"boot": boot, "flash": flash, "told": told})
    image.seek(0)
    image.write(flash.content)
else:
    with open("before.img", "rb") as file:
        content = bytearray(file.read())
    log = open("flash.log", "rb")
    os.umount("/")
    cuts(content, log)
