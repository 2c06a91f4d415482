"""Requests about electrodes: a measurement of impedance, comparators on or off. The edge does and decides.

Lives in the serving thread.
"""

from collections.abc import Callable
from typing import Any

from hostd.control import Request, error_reply, ok_reply
from hostd.errors import LinkError
from hostd.stimulation import Stimulation
from hw.lead_off import SIDE_N, SIDE_P, refuse_current
from hw.link import Impedance, ImpedanceStart, ImpedanceStop, LeadWatch

SIDES = {"auto": 0, "p": SIDE_P, "n": SIDE_N, "both": SIDE_P | SIDE_N}
Answer = Callable[[dict[str, Any]], None]


def refused_current(request: Request) -> str:
    """Why this current must not flow; the edge asks the same of the same table."""
    direct, phantom = request.command == "leads.watch", request.args.get("phantom", False)
    return refuse_current(request.args["current_na"], direct, phantom)


class LeadDesk:
    """`happen` hears of the end of a measurement, 1 when it has a result; `faults` are told."""

    def __init__(
        self, stimulation: Stimulation, happen: Callable[[str, int], None], faults: list[str]
    ) -> None:
        self._stimulation, self._happen, self._faults = stimulation, happen, faults
        self._number = 0

    def watch(self, request: Request, answer: Answer) -> None:
        """Comparators on or off."""

        def told(refusal: str) -> None:
            answer(error_reply(request.id, "refused", refusal) if refusal else ok_reply(request.id))

        current_na = request.args["current_na"]
        try:
            self._stimulation.ask(lambda number: LeadWatch(number, current_na), told)
        except LinkError as error:
            self._faults.append(str(error))
            answer(error_reply(request.id, "internal", str(error)))

    def begin(self, args: dict[str, Any], answered: Callable[[str], None]) -> None:
        """Let the edge measure; `answered` hears its refusal, or "". Raises LinkError."""

        def begun(refusal: str) -> None:
            if refusal:
                self.measured()
            answered(refusal)

        self._stimulation.ask(lambda number: self._start(number, args), begun)

    def end(self) -> None:
        """Let the edge end the measurement. Raises LinkError."""
        self._stimulation.ask(ImpedanceStop, lambda refusal: None)

    def measured(self, impedance: Impedance | None = None) -> None:
        """The measurement asked for last has ended: with this result, or before it began."""
        if impedance is not None and impedance.command != self._number:
            return  # one that was stopped
        whole = impedance is not None and any(ohm == ohm for ohm in impedance.ohm)  # nan: not measured
        self._happen("impedance.done", int(whole))

    def _start(self, number: int, args: dict[str, Any]) -> ImpedanceStart:
        self._number = number
        sides, phantom = SIDES[args["sides"]], int(args["phantom"])
        return ImpedanceStart(number, args["current_na"], args["frequency_hz"], sides, phantom)
