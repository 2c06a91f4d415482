"""What a measurement needs of whoever owns the registers: a current that begins, changes and ends.

Protocols only. The edge writes registers between two frames (`firmware.leads.excitation`); for an edge that
cannot compute, the host asks it to (`hostd.lead_meter`), and learns later from where on that is so.
"""

from typing import ClassVar, Protocol

from hw.chips import ChipSpec
from hw.lead_off import Tone
from hw.samples import SampleBlock


class Inputs(Protocol):
    """Converters whose leads are measured: parts in the order of their channels, microvolts per count."""

    @property
    def chips(self) -> tuple[ChipSpec, ...]:
        """One for each converter."""
        ...

    @property
    def lsb_uv(self) -> tuple[float, ...]:
        """One for each channel."""
        ...

    @property
    def rate_hz(self) -> float:
        """Samples per second."""
        ...


class Current(Protocol):
    """The current in the leads, of one purpose at a time: `begin`, `drive` as often as need be, `restore`.

    All but `refuse` and `forget` raise `failure`. `shared_negative`, after `begin`: SRB1 connects one
    electrode to every negative input.
    """

    failure: ClassVar[type[Exception]]

    @property
    def shared_negative(self) -> bool:
        """Whether one electrode is every channel's negative input."""
        ...

    def refuse(self) -> str:
        """Why leads cannot be excited one by one here, in one line; "" when they can."""
        ...

    def begin(self) -> None:
        """Note what stands in the registers."""
        ...

    def drive(self, current_na: int, tones: tuple[Tone, ...], sense_p: int, sense_n: int) -> None:
        """Excite the leads of `sense_p` and `sense_n`, one bit per channel; a tone for each chip."""
        ...

    def restore(self) -> None:
        """Put the registers back."""
        ...

    def reached(self, block: SampleBlock) -> int | None:
        """Asked with the newest block: the first sample behind the last change, or a little later; None
        while that is not known."""
        ...

    def forget(self) -> None:
        """The chips were brought up anew: there is nothing to put back."""
        ...
