# evokd: starts the set of files that this board is to run. MicroPython; put here by `evokd flash`.
"""Starts the set in /a or /b that is to run and is whole; otherwise stays in the REPL with every pin let go.

/active names the slot; /trial names one for this start only; /stay asks for the REPL once. A set is whole
when its manifest.json is, and every file has the hash that stands there. Takes nothing from a set, so that it
need not change with one.
"""

import binascii
import hashlib
import json
import os
import sys

import micropython

SLOTS = ("a", "b")
# Of the header; 23 to 25 and 29 belong to the board itself.
PINS = tuple(range(23)) + (26, 27, 28)
# What a set that is no good can raise when it is loaded; a fault of one that runs is not for the other slot.
NO_GOOD = (ImportError, SyntaxError, NameError, AttributeError, TypeError, ValueError, LookupError, OSError)
NO_GOOD += (RuntimeError, ArithmeticError, MemoryError, AssertionError)


def let_go():
    """Every pin as at power-up: an input, pulled down."""
    try:
        from machine import Pin
    except ImportError:
        return
    for number in PINS:
        Pin(number, Pin.IN, Pin.PULL_DOWN)


def named(path):
    """The slot that the file names, "" for none."""
    try:
        with open(path) as file:
            name = file.read(8).strip()
    except OSError:
        return ""
    return name if name in SLOTS else ""


def removed(path):
    """Whether the file was there; it no longer is."""
    try:
        os.remove(path)
    except OSError:
        return False
    return True


def order():
    """The slots to try, first choice first. A trial is over before it begins: it cannot come again."""
    trial = named("/trial")
    if removed("/trial") and trial:
        yield trial
    active = named("/active")
    if active:
        for slot in (active, "a" if active == "b" else "b"):
            if slot != trial:
                yield slot


def sha256(path):
    """The file's hash, in hexadecimal."""
    digest = hashlib.sha256()
    buffer = bytearray(1024)
    with open(path, "rb") as file:
        n = file.readinto(buffer)
        while n:
            digest.update(memoryview(buffer)[:n])
            n = file.readinto(buffer)
    return binascii.hexlify(digest.digest()).decode()


def flaw(slot):
    """Why the slot cannot run, "" when it is whole."""
    root = "/" + slot + "/"
    try:
        with open(root + "manifest.json") as file:
            told = json.load(file)
        files = told["files"]
        lines = ["evokd " + told["version"], "link {} {}".format(told["link"], told["table"])]
        for path in sorted(files):
            lines.append(files[path] + "  " + path)
            if sha256(root + path) != files[path]:
                return path + " is not as the manifest says"
        image = binascii.hexlify(hashlib.sha256("\n".join(lines).encode()).digest()).decode()
        return "" if image == told["image"] else "the manifest is not as it was made"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"{type(error).__name__}: {error}"


def loaded(slot):
    """The slot's `evokd.edge`, None when it does not load; then nothing of it is left."""
    sys.path.insert(0, "/" + slot)
    try:
        from evokd import edge

        return edge
    except NO_GOOD as error:
        print("evokd: slot", slot, "does not load:", type(error).__name__, error)
    sys.path.remove("/" + slot)
    for name in list(sys.modules):
        if name == "evokd" or name.startswith("evokd."):
            del sys.modules[name]
    return None


def start():
    """Run the best set until it ends. Returns when there is none."""
    if removed("/stay"):
        print("evokd: staying in the REPL, as asked")
        return
    for slot in order():
        why = flaw(slot)
        if why:
            print("evokd: slot", slot, "is not whole:", why)
            continue
        edge = loaded(slot)
        if edge is not None:
            edge.main()
            return
    print("evokd: no set to run; evokd flash puts one here")


# A host may speak the link while this runs, and a byte of it may be 3, which is Ctrl-C.
micropython.kbd_intr(-1)
let_go()
try:
    start()
finally:
    let_go()
    micropython.kbd_intr(3)
