"""A million frames from the modelled board through the firmware, the serial port and the host's intake, while
the cable drops bytes, flips bits and is pulled out. Every sample that comes must be the one of its index, and
what does not come must be a gap with a name."""

import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from firmware.rig.bodies import RAMP_SAMPLES, RAMP_START_V, RAMP_V
from hostd import intake as intake_module
from hostd.intake import End, Intake
from hostd.timebase import Timebase, filter_delay
from hw.samples import SampleBlock
from tests.support.edges import configure, files, ramp_model
from tests.support.pico_edge import PicoProcess

RATE_HZ = 16000.0
VOLTS = 4.5 / 2**23
WITHIN_S = 600.0


@dataclass(frozen=True)
class Plan:
    """How much harm: each piece of bytes that passes the cable is dropped or has a bit flipped by these
    chances; the cable is pulled out after every so many samples."""

    samples: int = 1_000_000
    drop: float = 0.02
    flip: float = 0.03
    unplug_every: int = 150_000
    power: bool = True
    """Whether the board loses its power with the cable, every second time."""
    seed: int = 1


@dataclass
class Account:
    """What came of it."""

    samples: int = 0
    begin: int = 0
    end: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    wrong: int = 0
    holes: int = 0
    flips: int = 0
    drops: int = 0
    unplugged: int = 0
    started: int = 1
    begun: int = 0
    """How often the board was started, and how often its samples began anew."""
    bad_frames: int = 0
    failure: str = ""

    @property
    def uncounted(self) -> int:
        """Samples of the time line that neither came nor are in a gap."""
        return self.end - self.begin - self.samples - sum(self.lost.values())

    @property
    def right(self) -> bool:
        """Nothing is lost without a name, nothing stands at another's index."""
        known = self.uncounted == self.wrong == self.holes == 0
        return known and self.begun <= self.started and not self.failure


class Ledger:
    """Stands where the case folder does; checks every block."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._ahead = -1

    def append(self, block: SampleBlock) -> None:
        a = self._account
        if not a.samples:  # the time line begins with the first block that comes through
            a.begin = a.end = block.first_index - sum(gap.length for gap in block.gaps)
        at = a.end
        for gap in block.gaps:
            a.holes += gap.index != at or gap.length <= 0
            at += gap.length
            a.lost[gap.reason] += gap.length
        a.holes += block.first_index != at
        a.end = block.end_index
        a.samples += len(block.counts)
        a.wrong += self._wrong(block)

    def _wrong(self, block: SampleBlock) -> int:
        """Rows that are not the sample of their index. A board that was started anew begins its ramp anew:
        where the ramp stands against the index may change once for each."""
        volts = block.counts.astype(float) * VOLTS
        on_ramp = np.rint((volts - RAMP_START_V) / RAMP_V).astype(np.int64)
        index = np.arange(block.first_index, block.end_index)[:, None]
        ahead = (on_ramp - index) % RAMP_SAMPLES
        if ahead[0, 0] != self._ahead:
            self._ahead = int(ahead[0, 0])
            self._account.begun += 1
        return int((ahead != self._ahead).any(axis=1).sum())

    def edge(self, boot: int, shift: int, offset_ns: int) -> None:
        """Nothing is kept."""

    def close_raw(self) -> None:
        """Nothing is open."""


class Harm:
    """What the cable does to the bytes on their way to the host."""

    def __init__(self, plan: Plan, account: Account) -> None:
        self._plan, self._account = plan, account
        self._rng = np.random.default_rng(plan.seed)
        self.on = False

    def __call__(self, data: bytes) -> bytes:
        if not self.on:
            return data
        chance = self._rng.random()
        if chance < self._plan.drop:
            self._account.drops += 1
            at = int(self._rng.integers(len(data)))
            return data[:at] + data[at + int(self._rng.integers(1, 64)) :]
        if chance < self._plan.drop + self._plan.flip:
            self._account.flips += 1
            changed = bytearray(data)
            changed[int(self._rng.integers(len(data)))] ^= 1 << int(self._rng.integers(8))
            return bytes(changed)
        return data


class Bench:
    """A board on a cable whose port keeps its name, as /dev/serial/by-id does."""

    def __init__(self, folder: Path, harm: Harm) -> None:
        self._link, self._harm = folder / "ttyPICO", harm
        self._boot()

    def _boot(self) -> None:
        self.board = PicoProcess(ramp_model(), files())
        self.board.model.grant(float("inf"))
        self._name()

    def _name(self) -> None:
        self.board.cable.harm = self._harm
        fresh = self._link.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(self.board.path)
        fresh.rename(self._link)

    @property
    def address(self) -> str:
        return f"serial:{self._link}"

    def unplug(self, power: bool) -> None:
        """Pull the cable and put it back."""
        self._link.unlink()
        if power:
            self.board.end()
            self._boot()
        else:
            self.board.cable.unplug()
            self.board.plug()
            self._name()

    def end(self) -> str:
        self.board.end()
        return self.board.crash


def run(plan: Plan, folder: Path) -> Account:
    """The account of a plan."""
    account = Account()
    harm = Harm(plan, account)
    bench = Bench(folder, harm)
    stop = threading.Event()
    intake_module.AGAIN_S = 0.02
    intake = Intake(bench.address, stop)
    try:
        description = intake.open(configure({"rate_hz": RATE_HZ}))
        intake.begin()
        harm.on = True
        timebase = Timebase(description.rate_hz, filter_delay(description))
        intake.start(Ledger(account), timebase, None)  # type: ignore[arg-type]
        due = plan.unplug_every
        while account.samples < plan.samples:
            item = intake.items.get(timeout=WITHIN_S)
            if isinstance(item, End):
                break
            if account.samples >= due and account.samples < plan.samples:
                due += plan.unplug_every
                account.unplugged += 1
                power = plan.power and account.unplugged % 2 == 0
                account.started += power
                bench.unplug(power)
    finally:
        intake.end()
        drain = threading.Thread(target=lambda: [None for _ in iter(intake.items.get, None)], daemon=True)
        drain.start()
        intake.close()
        account.bad_frames = intake.state["bad_frames"]
        account.failure = str(intake.failure or "") + bench.end()
    return account


__all__ = ["Account", "Plan", "run"]
