"""Electrodes that come off or loose, that stand at a rail, and mains in all of them, under the whole product.

A real edge server and host over a socket, as threads, faster than time: what befalls the electrodes is the
model patient's scenario, or its board's. Nothing may be lost of it, and it must be told as what it is.
"""

import contextlib
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firmware.ports import Edge
from firmware.simulated import SimulatedSource
from hostd.circumstances import HIGH_OHM
from hostd.client import request
from hostd.wire import Message
from hw.link import Configure, Description
from hw.model.contacts import Contact, ElectrodeChange
from hw.model.faults import Fault, FaultKind
from hw.model.scenario import Electrosurgery, NoiseChange, Scenario
from tests.faults.box import Record
from tests.faults.measured import Measured
from tests.support.session import Ear, LiveHost, until

ELECTRODES = ("CP3", "CP4")
RATE_HZ = 4000.0
WITHIN_S = 120.0
"""Of a machine's time, for half a minute of the case's."""
NOISE_S, RAILED_S = 30.0, 0.5
"""Of the case's time until it is told: noise by twenty seconds of sweeps, a rail by its samples."""
MAINS_TIMES = 40.0
RAIL_TO_RAIL_UV = 1e6


@dataclass(frozen=True, slots=True)
class Told:
    """What was heard of it, and which sample the fault began with."""

    ear: Ear
    host: LiveHost
    at: int
    name: str


class Railing(SimulatedSource):
    """One whose input `channel` goes to a supply at sample `at`."""

    def __init__(self, seed: int, channel: int, at: int) -> None:
        super().__init__(None, None, seed)
        self._fault, self._at = Fault(FaultKind.ELECTRODE_OFF, channel=channel), at

    def configure(self, wanted: Configure) -> Description:
        """See ports.Source."""
        described = super().configure(wanted)
        box = self._box
        assert box is not None
        wait = box.wait

        def waited(timeout_s: float) -> Edge | None:
            edge = wait(timeout_s)
            if edge is not None and edge.seq == self._at:
                box.board.apply(self._fault)
            return edge

        box.wait = waited  # type: ignore[method-assign]
        return described


def off(seed: int) -> Measured:
    """An electrode touches nothing any more: its noise is told with its name, its impedance when asked."""
    return _contact("off", seed)


def loose(seed: int) -> Measured:
    """An electrode comes loose: it crackles now and then, and is told by its impedance when that is asked."""
    return _contact("loose", seed)


def _contact(condition: Contact, seed: int) -> Measured:
    chance = random.Random(seed)
    name, at_s = chance.choice(ELECTRODES), chance.uniform(8.0, 12.0)
    scenario = Scenario(electrode=(ElectrodeChange(at_s, name, condition),))
    source = SimulatedSource(None, None, seed, scenario)

    def told(case: Told, measured: Measured) -> None:
        if condition == "off":
            _noise(case, name, measured)
        _heard(case, lambda m: m.topic == "beat", "samples since")
        _impedance(case, measured)

    return _case(source, round(at_s * RATE_HZ), name, told)


def mains(seed: int) -> Measured:
    """50 Hz forty times as large as it was, in all electrodes: told as their noise."""
    at_s = random.Random(seed).uniform(8.0, 12.0)
    scenario = Scenario(noise=(NoiseChange(at_s, mains=MAINS_TIMES),))
    source = SimulatedSource(None, None, seed, scenario)
    return _case(source, round(at_s * RATE_HZ), "", lambda case, measured: _noise(case, "", measured))


def railed(seed: int) -> Measured:
    """An input goes to a supply: its channel is told as railed at once, and no sweep with it is averaged."""
    chance = random.Random(seed)
    channel, at = chance.randrange(len(ELECTRODES)), round(chance.uniform(2.0, 4.0) * RATE_HZ)
    name = ELECTRODES[channel]

    def told(case: Told, measured: Measured) -> None:
        said = _heard(case, lambda m: m.topic == "status" and name in m.header["leads"]["railed"], "a rail")
        event = next((m for m in case.ear.of("event") if m.header["kind"] == "leads"), said)
        _in_time(event, case, RAILED_S, measured)
        _heard(case, lambda m: _rejected(m, case.at), "a sweep that was rejected for it")

    return _case(Railing(seed, channel, at), at, name, told)


def saturated(seed: int) -> Measured:
    """A knife drives all inputs from rail to rail for some seconds: told as that at once, no sweep meanwhile
    is averaged, and those behind it are."""
    chance = random.Random(seed)
    at_s, for_s = chance.uniform(2.0, 4.0), chance.uniform(1.0, 3.0)
    scenario = Scenario(electrosurgery=(Electrosurgery(at_s, for_s, RAIL_TO_RAIL_UV),))
    source = SimulatedSource(None, None, seed, scenario)
    first, end = round(at_s * RATE_HZ), round((at_s + for_s) * RATE_HZ)

    def told(case: Told, measured: Measured) -> None:
        said = _heard(case, lambda m: m.header.get("kind") == "electrosurgery", "an event of it")
        _in_time(said, case, RAILED_S, measured)
        _heard(case, lambda m: _accepted(m, end), "a sweep behind it")
        meanwhile = [m for m in case.ear.of("sweep.") if _accepted(m, first) and m.header["index"] < end]
        measured.wrong += [f"a sweep at {m.header['index']} was averaged" for m in meanwhile]

    return _case(source, first, "", told)


def _rejected(message: Message, at: int) -> bool:
    of_it = message.topic.startswith("sweep.") and message.header["index"] > at
    return of_it and message.header["reason"] == "saturated"


def _accepted(message: Message, at: int) -> bool:
    of_it = message.topic.startswith("sweep.") and message.header["index"] > at
    return of_it and message.header["accepted"]


def _noise(case: Told, name: str, measured: Measured) -> None:
    alert = _heard(
        case, lambda m: m.topic == "alert" and m.header["kind"] == "noise", "an alert of the noise"
    )
    _in_time(alert, case, NOISE_S, measured)
    if name not in alert.header["text"]:
        measured.wrong.append(f"{name} is to blame, and this was said: {alert.header['text']}")


def _impedance(case: Told, measured: Measured) -> None:
    """The electrode is told by its impedance, and the others are told to be good."""
    case.host.ok("stim.stop")
    until(lambda: request(case.host.bus, "impedance.start", {})["ok"], "impedance to be measured", WITHIN_S)
    result = _heard(case, lambda m: m.topic == "impedance" and len(m.header["leads"]) > 0, "impedances")
    for lead in result.header["leads"]:
        its = lead["lead"].rstrip("+-") == case.name
        if lead["ohm"] is None:  # what could not be measured says why
            fine = bool(lead["note"])
        else:
            fine = (lead["ohm"] >= HIGH_OHM) == its
        if not fine:
            measured.wrong.append(f"{case.name} is to blame, and {lead['lead']} has {lead['ohm']} ohm")


def _in_time(message: Message, case: Told, within_s: float, measured: Measured) -> None:
    late_s = (message.header["index"] - case.at) / RATE_HZ
    if not 0.0 < late_s <= within_s:
        measured.wrong.append(f"told {late_s:.1f} s after it began, promised within {within_s:g} s")


def _heard(case: Told, wanted: Callable[[Message], bool], what: str) -> Message:
    found: list[Message] = []

    def listened() -> Any:
        found.extend(m for m in case.ear.listen() if m.header["index"] >= case.at and wanted(m))
        return found

    until(listened, what, WITHIN_S)
    return found[0]


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="evokd-faults-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _case(source: SimulatedSource, at: int, name: str, told: Callable[[Told, Measured], None]) -> Measured:
    """One case with it, from begin to close, and the judgement of its file."""
    measured = Measured(1)
    with _folder() as data:
        with LiveHost(source=source, data=data) as host, Ear(host.bus) as ear:
            told(Told(ear, host, at, name), measured)
            host.ok("case.close")
            host.join()
        (folder,) = (path for path in data.iterdir() if path.is_dir())
        record = Record(folder)
        measured.uncommanded = len(record.unordered())
    measured.samples, measured.pulses = record.samples, len(record.rises)
    measured.lost_s = sum(gap.length for gap in record.gaps) / RATE_HZ
    measured.wrong += record.wrong
    return measured
