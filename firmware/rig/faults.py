"""Faults that the rig's kernel side can have: what shall fail, when, and how often.

Owns the list and its countdowns; refuses to fail anything itself: spidev, gpiochip, lines and pace ask.
Faults of the chip belong to the board model.
"""

import errno
from dataclasses import dataclass, fields


@dataclass(slots=True)
class Faults:
    """Everything that can be made to fail; each zero or empty value means healthy.

    `transfer_error_in`: the N-th message from now fails with `transfer_errno`, then every
    `transfer_error_every`-th when that is set. `short_in`, `short_bytes`: the N-th message from now moves
    only so many bytes. `vanished`: devices and nodes are gone; what was open of them stays dead when they
    come back. `open_errno`: opens fail. `busy_lines`: requests of these offsets fail with EBUSY.
    `spi_max_hz`: a higher speed is EINVAL, as a driver may say that clips nothing. `missing_edge_every`,
    `double_edge_every`: one edge in so many is not seen, or seen twice. `storm_edges`: so many false edges
    with the next true one. `stuck_ready`: -1 no, 0 data-ready stays low, 1 stays high, and no edges come.
    """

    transfer_error_in: int = 0
    transfer_error_every: int = 0
    transfer_errno: int = errno.EIO
    short_in: int = 0
    short_bytes: int = 0
    vanished: bool = False
    open_errno: int = 0
    busy_lines: tuple[int, ...] = ()
    spi_max_hz: int = 0
    missing_edge_every: int = 0
    double_edge_every: int = 0
    storm_edges: int = 0
    stuck_ready: int = -1

    def set(self, name: str, value: object) -> None:
        """Make one of the above so. Raises ValueError, one line, for what it is not."""
        if name not in {f.name for f in fields(self)}:
            known = ", ".join(f.name for f in fields(self))
            raise ValueError(f"no fault is called {name!r}; there are {known}")
        now = getattr(self, name)
        if isinstance(now, bool):
            value = self._boolean(name, value)
        elif isinstance(now, int):
            value = self._integer(name, value)
        else:
            if not isinstance(value, list | tuple):
                raise ValueError(f"fault {name} = {value!r} is no list of line offsets; write [17]")
            value = tuple(self._integer(name, item) for item in value)
        setattr(self, name, value)

    def clear(self) -> None:
        """Healthy again."""
        for f in fields(self):
            setattr(self, f.name, f.default)

    @property
    def transfers_armed(self) -> bool:
        """True while a message must be looked at one by one."""
        return bool(self.transfer_error_in or self.short_in or self.vanished or self.spi_max_hz)

    def next_transfer(self) -> int | None:
        """A message is about to be sent: None for all of it, else how many bytes move. Raises OSError."""
        if self.transfer_error_in:
            self.transfer_error_in -= 1
            if not self.transfer_error_in:
                self.transfer_error_in = self.transfer_error_every
                raise OSError(self.transfer_errno, "injected")
        if self.short_in:
            self.short_in -= 1
            if not self.short_in:
                return self.short_bytes
        return None

    def sightings(self, edge: int) -> int:
        """How often edge number `edge` (from 0) is seen: 1 when healthy."""
        if self.stuck_ready >= 0:
            return 0
        if self.missing_edge_every and (edge + 1) % self.missing_edge_every == 0:
            return 0
        seen = 2 if self.double_edge_every and (edge + 1) % self.double_edge_every == 0 else 1
        seen += self.storm_edges
        self.storm_edges = 0
        return seen

    @property
    def edges_armed(self) -> bool:
        """True while edges must be looked at one by one."""
        return bool(
            self.missing_edge_every or self.double_edge_every or self.storm_edges or self.stuck_ready >= 0
        )

    @staticmethod
    def _boolean(name: str, value: object) -> bool:
        if value not in (True, False, 0, 1):
            raise ValueError(f"fault {name} = {value!r} is neither true nor false")
        return bool(value)

    @staticmethod
    def _integer(name: str, value: object) -> int:
        if isinstance(value, str) and value.upper() in errno.errorcode.values():
            return int(getattr(errno, value.upper()))
        try:
            return int(value)  # type: ignore[call-overload,no-any-return]  # the except says what it is not
        except (TypeError, ValueError):
            raise ValueError(f"fault {name} = {value!r} is no number; write for example {name} = 1") from None
