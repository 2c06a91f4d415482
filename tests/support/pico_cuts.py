"""What a board does after power failed at any write to its flash. Run by MicroPython's unix port.

argv: the flash before, the log of what was written (see pico_interpreter.py). Every write of the log in turn
is left out, then done by half, and what lies there is booted twice. The last line printed is JSON: what ran at
both starts, "repl" for nothing.
"""

import json
import os
import struct
import sys

BLOCK = 4096


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


class Machine:
    def __init__(self):
        self.tags = "repl"

    def ran(self, tags):
        self.tags = "".join(sorted(set(tags)))


def boot(flash):
    """What runs."""
    os.mount(os.VfsLfs2(flash, progsize=256), "/")
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


with open(sys.argv[1], "rb") as file:
    content = bytearray(file.read())
log = open(sys.argv[2], "rb")
out = sys.stdout.buffer
found = []
os.umount("/")
for at, written in operations(log):
    found.append(outcome(content))
    half = len(written) // 2
    content[at : at + half] = written[:half]
    found.append(outcome(content))
    content[at : at + len(written)] = written
found.append(outcome(content))
out.write(b"\n" + json.dumps(found).encode())
