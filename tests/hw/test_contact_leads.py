"""Electrodes change when the scenario says so, in its order."""

from typing import cast

from hw.model.board import BoardModel
from hw.model.contact_leads import ELECTRODES, ContactLeads
from hw.model.contacts import Contact, ElectrodeChange
from hw.model.electrodes import Electrode, Side

NAMES: dict[Electrode, Contact] = {electrode: name for name, electrode in ELECTRODES.items()}


class Heard:
    """A board that notes what is done to its electrodes."""

    def __init__(self) -> None:
        self.said: list[tuple[str, Contact]] = []

    def set_electrode(self, channel: int, side: Side, electrode: Electrode) -> None:
        self.said.append((f"{channel}{side}", NAMES[electrode]))

    def set_reference_electrode(self, electrode: Electrode) -> None:
        self.said.append(("reference", NAMES[electrode]))


def test_changes_come_in_the_order_of_time_and_of_two_at_once_the_later_holds() -> None:
    changes = (
        ElectrodeChange(2.0, "CP3", "ok"),
        ElectrodeChange(1.0, "CP3", "off"),
        ElectrodeChange(1.0, "CP3", "loose"),
        ElectrodeChange(1.5, "reference", "loose"),
        ElectrodeChange(1.0, "Fpz", "off"),  # is not recorded
    )
    board = Heard()
    leads = ContactLeads(cast("BoardModel", board), {"CP4": 0, "CP3": 1}, 1000.0, changes)
    heard = []
    for sample in (0, 999, 1000, 1600, 5000):
        leads.until(sample)
        heard.append(len(board.said))
    assert heard == [0, 0, 2, 3, 4]
    assert board.said == [("1p", "off"), ("1p", "loose"), ("reference", "loose"), ("1p", "ok")]
