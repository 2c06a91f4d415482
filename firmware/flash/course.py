"""A flash from finding the board to its first words: look, send, verify, try, keep.

The set that runs is not touched. The new one is written to the other slot, read back as hashes, started once
on trial and met on the link; only then one small file makes it the one to run. Whatever ends this on the way
leaves the old set, the new one, or the REPL; the same command goes on.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from firmware.errors import ConfigError, EdgeError, LinkError, PortError
from firmware.flash import board, contents, interpreter, writing
from firmware.flash.board import Running
from firmware.flash.contents import ACTIVE, MAIN, TRIAL, Contents, Who
from firmware.flash.interpreter import Interpreter
from firmware.flash.places import Drive, Machine, Port, named
from firmware.flash.repl import Repl
from firmware.pico.identity import IMAGE_DIGITS
from firmware.pico.image import MANIFEST, Manifest, read_manifest
from hw.link import check_hello

RESTART = "import time, machine\ntime.sleep_ms(100)\nmachine.reset()"
BOOTLOADER = "import time, machine\ntime.sleep_ms(100)\nmachine.bootloader()"
Say = Callable[[str, str], None]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be on the board."""

    image: Mapping[str, bytes]
    starter: bytes
    told: Manifest


def wanted(image: Mapping[str, bytes], starter: bytes) -> Wanted:
    """Raises EdgeError when the set has no manifest of its own."""
    told = read_manifest(image.get(MANIFEST, b""))
    if told is None:
        raise EdgeError("this version's set for the board has no sound manifest; install evokd anew")
    return Wanted(image, starter, told)


def set_text(told: Manifest) -> str:
    """A set in one line."""
    image, size = told.image[:IMAGE_DIGITS], f"{len(told.files)} files"
    return f"evokd {told.version}, image {image}, link {told.link}, table {told.table}, {size}"


class Course:
    """One flash. `say` is told (topic, text) for every step, `progress` (what, done, of) for bytes."""

    def __init__(self, machine: Machine, set_: Wanted, say: Say, progress: Progress) -> None:
        self._machine, self._set, self._say, self._progress = machine, set_, say, progress

    def check(self, place: Port | Drive) -> bool:
        """Show what is on the board and change nothing; True when it is what `flash` would put there."""
        self._say("board", named(place))
        if isinstance(place, Drive):
            self._say("holds", "what its bootloader does not show; plug it in without BOOTSEL to see")
            return False
        with board.opened(place) as port:
            running = board.answer(port, board.CHECK)
            if running is not None:
                return self._running(running)
            repl = Repl(port)
            repl.enter(fresh=False)
            who = self._who(repl, place)
            found = self._contents(repl)
            self._show(who, found)
            repl.leave()
        steps = contents.plan(found, self._set.image, self._set.starter)
        return not steps.send and not steps.remove and not steps.main and found.active == steps.slot

    def flash(self, place: Port | Drive, with_: Interpreter | None, replace: bool) -> None:
        """Put the set on the board; `replace` a main.py that is somebody else's. Raises EdgeError."""
        self._say("board", named(place))
        if isinstance(place, Drive):
            place = self._interpret(place, with_)
        elif with_ is not None:
            place = self._interpret(self._to_bootloader(place), with_)
        place = self._to_repl(place)
        with board.opened(place) as port:
            repl = Repl(port)
            repl.enter(fresh=True)
            who = self._who(repl, place)
            found = self._contents(repl)
            self._show(who, found)
            if found.foreign and not replace:
                raise ConfigError(
                    f"{place.device} has a main.py that is not evokd's; --yes replaces it, save it first"
                )
            steps = contents.plan(found, self._set.image, self._set.starter)
            self._say("set", f"{set_text(self._set.told)} -> slot {steps.slot}")
            writing.check_room(found, steps)
            began = time.monotonic()
            writing.write(repl, steps, lambda done: self._progress("files", done, steps.bytes))
            took = f"{steps.bytes} bytes in {time.monotonic() - began:.1f} s"
            self._say("sent", f"{len(steps.send)} files, {took}; {steps.kept} were there")
            writing.verify(self._contents(repl), steps.slot, self._set.image)
            self._say(
                "verified",
                f"{len(self._set.image)} files of slot {steps.slot}: size and SHA-256, reckoned on the board",
            )
            if steps.main:
                writing.put_whole(repl, MAIN, self._set.starter)
            kept = found.active == steps.slot
            if not kept:
                writing.name_slot(repl, TRIAL, steps.slot)
            _run_away(repl, RESTART)
            board.until_gone(port)
        self._keep(place, steps.slot, kept)

    def _interpret(self, drive: Drive, with_: Interpreter | None) -> Port:
        """The port of a board whose bootloader was given the interpreter. Raises ConfigError, PortError."""
        if with_ is None:
            raise ConfigError(
                f"a board in BOOTSEL mode wants an interpreter: give --interpreter FILE.uf2, MicroPython "
                f"{interpreter.version_text(interpreter.OLDEST)} or newer for the {drive.chip}, from "
                "micropython.org/download; or plug it in without BOOTSEL if it has one"
            )
        before = {port.device for port in self._machine.boards()}
        total = len(with_.content)
        interpreter.put(with_, drive, lambda done, _total: self._progress("interpreter", done, total))
        self._say(
            "sent", f"MicroPython {interpreter.version_text(with_.made.version)}, {total} bytes, SHA-256 good"
        )

        def new() -> Port | None:
            return next((port for port in self._machine.boards() if port.device not in before), None)

        port = board.wait_for(new, board.BACK_S)
        if port is None:
            raise PortError(
                f"the board at {drive.folder} did not come back as a serial port within {board.BACK_S:g} s; "
                "plug it in again with BOOTSEL held down and repeat the command"
            )
        self._say("started", f"MicroPython at {port.device}")
        return port

    def _to_bootloader(self, place: Port) -> Drive:
        """The drive of a board that was running. Raises PortError when nobody mounts it."""
        before = set(self._machine.drives())
        place = self._to_repl(place)
        with board.opened(place) as port:
            repl = Repl(port)
            repl.enter(fresh=False)
            _run_away(repl, BOOTLOADER)
            board.until_gone(port)
        drive = board.wait_for(lambda: next(iter(set(self._machine.drives()) - before), None), board.BACK_S)
        if drive is None:
            raise PortError(
                f"the board that was {place.device} is in BOOTSEL mode, but its drive is not mounted; "
                "mount it and repeat the command with --drive DIR"
            )
        return drive

    def _to_repl(self, place: Port, starting: bool = False) -> Port:
        """The same board at MicroPython's prompt, where our firmware was left for it. Raises EdgeError."""
        with board.opened(place) as port:
            try:
                running = board.answer(port, board.FLASH, starting)
                if running is None:
                    return place
                if not starting:
                    self._running(running)
                board.until_gone(port)
            except board.LostError:  # it restarted before its answer was read, or it was pulled out
                pass
        place = board.until_back(self._machine, place)
        with board.opened(place) as port:
            if board.answer(port, board.CHECK) is not None:
                raise LinkError(
                    f"{place.device}: the firmware does not leave for the REPL; "
                    "erase the flash (BOOTSEL and a flash_nuke.uf2) and repeat the command"
                )
        return place

    def _who(self, repl: Repl, place: Port) -> Who:
        return contents.read_who(repl.ask(contents.WHO, "asking who it is"), place.device)

    def _contents(self, repl: Repl) -> Contents:
        return contents.read_contents(repl.ask(contents.SURVEY, "hashing its files"))

    def _show(self, who: Who, found: Contents) -> None:
        self._say("holds", who.text)
        if found.foreign:
            self._say("holds", f"a main.py that is not evokd's ({found.files[MAIN][0]} bytes)")
        if "/boot.py" in found.files:
            self._say("holds", "a boot.py, which runs before evokd and is left alone")
        sets = [(slot, told) for slot in contents.SLOTS if (told := found.manifest(slot)) is not None]
        for slot, told in sets:
            state = "runs" if slot == found.runs else "whole" if found.whole(slot) else "not whole"
            self._say("holds", f"slot {slot}, {state}: {set_text(told)}")
        if not sets:
            self._say("holds", "nothing of evokd")

    def _running(self, running: Running) -> bool:
        """Say what runs; True when it is this version's set."""
        self._say("runs", _running_text(running))
        who = running.named
        return who is not None and self._set.told.image[:IMAGE_DIGITS] == who.image

    def _keep(self, place: Port, slot: str, kept: bool) -> None:
        """Meet the set on the link; unless it is the one to run make it so and meet it again. EdgeError."""
        place = self._meet(place, "started" if kept else "on trial")
        if kept:
            return
        place = self._to_repl(place, starting=True)
        with board.opened(place) as port:
            repl = Repl(port)
            repl.enter(fresh=True)
            writing.name_slot(repl, ACTIVE, slot)
            _run_away(repl, RESTART)
            board.until_gone(port)
        self._say("kept", f"slot {slot} is what the board starts from now on")
        self._meet(place, "started")

    def _meet(self, place: Port, topic: str) -> Port:
        """The set answers as what it is. Raises LinkError when it does not, or another one does."""
        place, running = self._started(place)
        left = "the board starts what it had before; report this"
        if running is None:
            raise LinkError(f"{place.device}: the new set did not start, the board is in the REPL; {left}")
        if why := check_hello(running.peer):
            raise LinkError(f"{place.device}: {why}; {left}")
        wanted_image = self._set.told.image[:IMAGE_DIGITS]
        image = "that it does not name" if running.named is None else running.named.image
        if image != wanted_image:
            raise LinkError(f"{place.device}: an image {image} answers, not {wanted_image}; {left}")
        self._say(topic, _running_text(running))
        return place

    def _started(self, place: Port) -> tuple[Port, Running | None]:
        """Where a board that was told to restart is, and what answers there. Raises LinkError, PortError."""
        place = board.until_back(self._machine, place)
        try:
            with board.opened(place) as port:
                return place, board.answer(port, board.CHECK, starting=True)
        except board.LostError:  # it was slow to leave, and does so only now
            place = board.until_back(self._machine, place)
        with board.opened(place) as port:
            return place, board.answer(port, board.CHECK, starting=True)


def _running_text(running: Running) -> str:
    """Our firmware in one line."""
    who, link = running.named, f"link {running.peer.version}, table {running.peer.table:08x}"
    if who is None:
        return f"an evokd that does not name itself, {link}"
    return f"evokd {who.version} on {who.board}, image {who.image}, {link}; {who.self_test}"


def _run_away(repl: Repl, code: str) -> None:
    repl.run_away(code, "restarting it")


def load_interpreter(path: Path | None, sha256: str | None) -> Interpreter | None:
    """What --interpreter and --sha256 name. Raises ConfigError."""
    if path is not None:
        return interpreter.load(path, sha256)
    if sha256 is not None:
        raise ConfigError("--sha256 belongs to --interpreter; give both")
    return None
