"""What the edge and the samples say of stimulation, carried to the state machine, the record and the status.

Lives in the serving thread. Decides nothing: what follows is the state machine's.
"""

from collections.abc import Callable

from hostd.case_folder import CaseFolder
from hostd.errors import LinkError
from hostd.stim_status import StimStatus
from hostd.stimulation import Stimulation
from hw.link import LOCK_ELECTROSURGERY, Fault, Lockout, Reply, StimState, Stimulus, Unfired

SELF = "evokd"


class EdgeEvents:
    """`happen` hears a kind of event and its value; `index` tells the sample reached; `faults` are told;
    `shown` hears of every pulse, proven or given up; `anew`: this edge has not counted all of the case."""

    def __init__(
        self,
        stimulation: Stimulation,
        stimuli: StimStatus,
        folder: CaseFolder,
        index: Callable[[], int],
        happen: Callable[[str, int], None],
        faults: list[str],
        shown: Callable[[Stimulus], None] = lambda stimulus: None,
        anew: Callable[[], bool] = lambda: False,
    ) -> None:
        self._shown, self._anew = shown, anew
        self._stimulation, self._stimuli, self._folder = stimulation, stimuli, folder
        self._index, self._happen, self._faults = index, happen, faults

    def replied(self, reply: Reply) -> None:
        """The edge's answer to a command."""
        self._stimulation.answered(reply.command, reply.refusal)

    def fault(self, fault: Fault) -> None:
        """The edge has stopped stimulating: every running test stops with it."""
        detail = {"code": fault.code, "text": fault.text, "line": fault.line, "index": fault.index}
        self._folder.audit("edge", "fault", detail, self._index())
        if fault.code == "link":
            self._stimulation.lost(fault.text)
        self._happen("edge.fault", 0)

    def undelivered(self, text: str) -> None:
        """A pulse did not reach the patient as it should, or must be the last: no further one goes out."""
        self._folder.audit(SELF, "stim.stop", {"because": text}, self._index())
        self._happen("stim.stop", 0)

    def stimulated(self, stimulus: Stimulus) -> None:
        """One pulse went out."""
        self._stimulation.count(stimulus)
        self._stimuli.stimulated(stimulus)
        self._shown(stimulus)
        if self._anew() and (why := self._stimulation.used_up(stimulus)):
            self.undelivered(why)

    def unfired(self, unfired: Unfired) -> None:
        """A stimulus that was due did not go out."""
        sent = self._stimulation.sent(unfired.command)
        detail = {"test": sent.test if sent else None, "at": unfired.index, "reason": unfired.reason}
        self._folder.audit("edge", "unfired", detail, unfired.index)
        self._stimuli.unfired(unfired)

    def state(self, said: StimState) -> None:
        """The arbiter's state: what locks the edge locks here."""
        self._stimuli.told(said)
        self._happen("edge.locks", said.locks)

    def electrosurgery(self, on: bool) -> None:
        """Electrosurgery was seen in the samples, or no longer: nothing is stimulated meanwhile. An edge that
        was lost and came back is told again by the intake."""
        why = {"because": "electrosurgery"}
        self._folder.audit(SELF, "stim.lock" if on else "stim.unlock", why, self._index())
        if not self._stimulation.lines:
            return
        try:
            self._stimulation.ask(lambda n: Lockout(n, LOCK_ELECTROSURGERY, int(on)), lambda refusal: None)
        except LinkError as error:
            self._faults.append(str(error))
