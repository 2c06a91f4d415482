"""A flash from finding the board to its first words: look, send, verify, try, keep.

The set that runs is not touched. The new one is written to the other slot, read back as hashes, started once
on trial and met on the link; only then one small file makes it the one to run. Whatever ends this on the way
leaves the old set, the new one, or the REPL; the same command goes on.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import serial

from firmware.errors import ConfigError, EdgeError, LinkError
from firmware.flash import board, bootloader, contents, writing
from firmware.flash.board import Running
from firmware.flash.contents import ACTIVE, MAIN, TRIAL, Contents
from firmware.flash.interpreter import Interpreter
from firmware.flash.places import Drive, Machine, Port, named
from firmware.flash.repl import Repl
from firmware.flash.shown import contents_lines, running_text, set_text
from firmware.pico.identity import IMAGE_DIGITS
from firmware.pico.image import MANIFEST, Manifest, read_manifest
from hw.link import check_hello

RESTART = "import time, machine\ntime.sleep_ms(100)\nmachine.reset()"
Say = Callable[[str, str], None]
Progress = Callable[[str, int, int], None]
Asked = Callable[[Port, serial.SerialBase], Running | None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be on the board."""

    image: Mapping[str, bytes]
    starter: bytes
    told: Manifest

    @property
    def named(self) -> str:
        """The image as a running board names it."""
        return self.told.image[:IMAGE_DIGITS]


def wanted(image: Mapping[str, bytes], starter: bytes) -> Wanted:
    """Raises EdgeError when the set has no manifest of its own."""
    told = read_manifest(image.get(MANIFEST, b""))
    if told is None:
        raise EdgeError("this version's set for the board has no sound manifest; install evokd anew")
    return Wanted(image, starter, told)


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
                self._say("runs", running_text(running))
                return running.named is not None and running.named.image == self._set.named
            repl = Repl(port)
            repl.enter(fresh=False)
            found = self._survey(repl, place)
            repl.leave()
        steps = contents.plan(found, self._set.image, self._set.starter)
        return not steps.send and not steps.remove and not steps.main and found.active == steps.slot

    def flash(self, place: Port | Drive, with_: Interpreter | None, replace: bool) -> None:
        """Put the set on the board; `replace` a main.py that is somebody else's. Raises EdgeError."""
        self._say("board", named(place))
        if isinstance(place, Port) and with_ is not None:
            before = self._machine.drives()
            with self._at_repl(place) as (place, port):
                repl = Repl(port)
                repl.enter(fresh=False)
                self._survey(repl, place)
                bootloader.enter(repl)
                board.until_gone(port)
            place = bootloader.drive_of(self._machine, place, before)
        if isinstance(place, Drive):
            place = bootloader.interpret(self._machine, place, with_, self._say, self._progress)
        with self._at_repl(place) as (place, port):
            slot, kept = self._put(Repl(port), place, replace)
            board.until_gone(port)
        self._keep(place, slot, kept)

    @contextlib.contextmanager
    def _at_repl(self, place: Port) -> Iterator[tuple[Port, serial.SerialBase]]:
        """The board at MicroPython's prompt, and where it is now; our firmware is left for it. EdgeError."""
        with contextlib.ExitStack() as stack:
            port = stack.enter_context(board.opened(place))
            if self._leaves(port):
                stack.close()
                place, port = stack.enter_context(self._back_at_repl(place))
            yield place, port

    @contextlib.contextmanager
    def _back_at_repl(self, place: Port) -> Iterator[tuple[Port, serial.SerialBase]]:
        """The board at its prompt, after its firmware was told to leave. Raises LinkError, PortError."""
        with self._back(place, lambda _place, port: board.answer(port, board.CHECK)) as (back, port, running):
            if running is not None:
                raise LinkError(
                    f"{back.device}: the firmware does not leave for the REPL; "
                    "erase the flash (BOOTSEL and a flash_nuke.uf2) and repeat the command"
                )
            yield back, port

    def _leaves(self, port: serial.SerialBase) -> bool:
        """Whether our firmware was there; it was told to leave for the REPL. Raises EdgeError."""
        # Where the board is lost it has restarted before its answer was read; if not, it will be missed.
        with contextlib.suppress(board.LostError):
            running = board.answer(port, board.FLASH)
            if running is None:
                return False
            self._say("runs", running_text(running))
            board.until_gone(port)
        return True

    def _survey(self, repl: Repl, place: Port) -> Contents:
        """What the board is and holds, told. Raises PortError for one that will not do."""
        who = contents.read_who(repl.ask(contents.WHO, "asking who it is"), place.device)
        self._say("holds", who.text)
        found = self._contents(repl)
        for text in contents_lines(found):
            self._say("holds", text)
        return found

    def _contents(self, repl: Repl) -> Contents:
        return contents.read_contents(repl.ask(contents.SURVEY, "hashing its files"))

    def _put(self, repl: Repl, place: Port, replace: bool) -> tuple[str, bool]:
        """The set in a slot, verified, and the board restarting with it; the slot, and whether it is the one
        to run already. Raises EdgeError."""
        repl.enter(fresh=True)
        found = self._survey(repl, place)
        if found.foreign and not replace:
            raise ConfigError(
                f"{place.device} has a main.py that is not evokd's; --yes replaces it, save it first"
            )
        steps = contents.plan(found, self._set.image, self._set.starter)
        slot, kept = steps.slot, found.active == steps.slot
        self._say("set", f"{set_text(self._set.told)} -> slot {slot}")
        writing.check_room(found, steps)
        began = time.monotonic()
        writing.write(repl, steps, lambda done: self._progress("files", done, steps.bytes))
        took = f"{steps.bytes} bytes in {time.monotonic() - began:.1f} s"
        self._say("sent", f"{len(steps.send)} files, {took}; {steps.kept} were there")
        writing.verify(self._contents(repl), slot, self._set.image)
        self._say("verified", f"{len(self._set.image)} files: size and SHA-256, reckoned on the board")
        if steps.main:
            writing.put_whole(repl, MAIN, self._set.starter)
        if not kept:
            writing.name_slot(repl, TRIAL, slot)
        repl.run_away(RESTART, "restarting it")
        return slot, kept

    def _keep(self, place: Port, slot: str, kept: bool) -> None:
        """Meet the set on the link; unless it is the one to run make it so and meet it again. EdgeError."""
        with self._back(place, self._met) as (place, port, running):
            self._judge(place, running, "started" if kept else "on trial")
            if kept:
                return
            with contextlib.suppress(board.LostError):
                board.answer(port, board.FLASH, starting=True)
                board.until_gone(port)
        with self._back_at_repl(place) as (place, port):
            repl = Repl(port)
            repl.enter(fresh=True)
            writing.name_slot(repl, ACTIVE, slot)
            repl.run_away(RESTART, "restarting it")
            board.until_gone(port)
        self._say("kept", f"slot {slot} is what the board starts from now on")
        with self._back(place, self._met) as (place, _, running):
            self._judge(place, running, "started")

    @contextlib.contextmanager
    def _back(self, place: Port, asked: Asked) -> Iterator[tuple[Port, serial.SerialBase, Running | None]]:
        """Where a board is that was told to restart, and what answers there. Raises LinkError, PortError."""
        with contextlib.ExitStack() as stack:
            back, port = stack.enter_context(board.reopened(self._machine, place))
            try:
                running = asked(back, port)
            except board.LostError:  # it was slow to leave, and does so only now
                stack.close()
                back, port = stack.enter_context(board.reopened(self._machine, place))
                running = asked(back, port)
            yield back, port, running

    def _met(self, place: Port, port: serial.SerialBase) -> Running | None:
        """What answers on a board that was just started, None for the REPL. Raises LinkError for nothing."""
        try:
            return board.answer(port, board.CHECK, starting=True)
        except LinkError:
            raise LinkError(
                f"{place.device}: the new set does not answer; plug the board in again, "
                "which starts what it had before; report this"
            ) from None

    def _judge(self, place: Port, running: Running | None, topic: str) -> None:
        """The set answers as what it is. Raises LinkError when it does not, or another one does."""
        left = "the board starts what it had before; report this"
        if running is None:
            raise LinkError(f"{place.device}: the new set did not start, the board is in the REPL; {left}")
        if why := check_hello(running.peer):
            raise LinkError(f"{place.device}: {why}; {left}")
        image = "that it does not name" if running.named is None else running.named.image
        if image != self._set.named:
            raise LinkError(f"{place.device}: an image {image} answers, not {self._set.named}; {left}")
        self._say(topic, running_text(running))
