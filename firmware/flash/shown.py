"""What is on a board, in lines for people."""

from collections.abc import Iterator

from firmware.flash.board import Running
from firmware.flash.contents import MAIN, SLOTS, Contents
from firmware.pico.identity import IMAGE_DIGITS
from firmware.pico.image import Manifest

BOOT = "/boot.py"


def set_text(told: Manifest) -> str:
    """A set in one line."""
    image, size = told.image[:IMAGE_DIGITS], f"{len(told.files)} files"
    return f"evokd {told.version}, image {image}, link {told.link}, table {told.table}, {size}"


def running_text(running: Running) -> str:
    """Our firmware in one line."""
    who, link = running.named, f"link {running.peer.version}, table {running.peer.table:08x}"
    if who is None:
        return f"an evokd that does not name itself, {link}"
    return f"evokd {who.version} on {who.board}, image {who.image}, {link}; {who.self_test}"


def contents_lines(found: Contents) -> Iterator[str]:
    """What lies in the flash, as far as it is about us."""
    if found.foreign:
        yield f"a main.py that is not evokd's ({found.files[MAIN][0]} bytes)"
    if BOOT in found.files:
        yield "a boot.py, which runs before evokd and is left alone"
    sets = [(slot, told) for slot in SLOTS if (told := found.manifest(slot)) is not None]
    for slot, told in sets:
        state = "runs" if slot == found.runs else "whole" if found.whole(slot) else "not whole"
        yield f"slot {slot}, {state}: {set_text(told)}"
    if not sets:
        yield "nothing of evokd"
