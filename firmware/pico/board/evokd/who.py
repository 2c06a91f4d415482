"""Who this board is: its name for a host, and what this start of it is called."""

import binascii
import json
import os
import sys

import machine

from evokd import selftest


def boot():
    """Names this start: no two are the same."""
    return int.from_bytes(os.urandom(8), "little") | 1


def told():
    """(version, image) of the set that runs, as its manifest says."""
    try:
        with open(sys.path[0] + "/manifest.json") as file:
            manifest = json.load(file)
        return manifest["version"], manifest["image"][:16]
    except (OSError, ValueError, KeyError, TypeError):
        return "unknown", "0" * 16


def name():
    """Who we are, as `firmware.pico.identity` reads it: chip and serial number, version, image, self test."""
    serial = str(binascii.hexlify(machine.unique_id()), "utf-8")
    chips = [chip for chip in ("RP2040", "RP2350") if chip in sys.implementation._machine]
    version, image = told()
    board = (chips[0] if chips else "unknown") + " " + serial
    return "pico %s; evokd %s; image %s; %s" % (board, version, image, selftest.run())
