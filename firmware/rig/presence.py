"""The devices as a program finds them: there from the start, gone while a fault says so, then new.

Owns their coming and going; refuses to know what they do. What was open of a device that is gone is dead for
good, as in a kernel: SPI is ESHUTDOWN, GPIO hangs up and is ENODEV, the nodes are not in /dev. A device that
comes back has its first settings. The board, which has never been away, has not changed.
"""

import contextlib
import socket
from collections.abc import Callable

from firmware.rig import namespace
from firmware.rig.calls import Calls
from firmware.rig.faults import Faults
from firmware.rig.gpiochip import GpioChip
from firmware.rig.hotpath import HotPath
from firmware.rig.namespace import NodePlan
from firmware.rig.process import FileKey
from firmware.rig.program import Program
from firmware.rig.spidev import SpiNode


class Presence:
    """The devices of one program. `devices`: SPI's, node by node. One thread.

    `make(node)` makes a new one; `unwatch(end)` hears of our ends of GPIO's descriptors that are closed here.
    """

    def __init__(
        self,
        plan: NodePlan,
        program: Program,
        calls: Calls,
        hot: HotPath,
        chip: GpioChip,
        make: Callable[[int], SpiNode],
        unwatch: Callable[[socket.socket], None],
    ) -> None:
        self._plan, self._program = plan, program
        self._calls, self._hot, self._chip = calls, hot, chip
        self._make, self._unwatch = make, unwatch
        self._there = True
        self.devices = [make(k) for k in range(len(plan.spi))]
        self._put()

    def follow(self, faults: Faults) -> None:
        """Be there or not, as `faults` say."""
        if faults.vanished != self._there:
            return
        self._there = not self._there
        if self._there:
            self.devices[:] = map(self._make, range(len(self.devices)))
            self._put()
            namespace.make_nodes(self._program.dev, self._plan)
        else:
            self._take_away()
            namespace.remove_nodes(self._program.dev, self._plan)

    def _put(self) -> None:
        for k, name in enumerate(self._plan.spi):
            stand_ins = namespace.stand_ins(self._program.hidden, name)
            self._calls.put(f"/dev/{name}", self.devices[k], stand_ins)
            self._hot.set_node(k, stand_ins[0])

    def _take_away(self) -> None:
        for k, name in enumerate(self._plan.spi):
            self.devices[k].remove()
            self._calls.take_away(f"/dev/{name}")
            self._hot.set_node(k, None)
        for handle in list(self._chip.handles.values()):
            self._hang_up(handle.ours, handle.key)
            self._chip.close(handle.key)
        for request in list(self._chip.lines.requests.values()):  # they stay at their levels, nobody is told
            self._hang_up(request.ours, request.key)
            self._chip.lines.release(request.key)
            request.ours.close()

    def _hang_up(self, ours: socket.socket, key: FileKey) -> None:
        """The program's end says so in both directions, and wakes who waits for it."""
        self._calls.gone.add(key)
        self._unwatch(ours)
        with contextlib.suppress(OSError):  # closed meanwhile
            ours.shutdown(socket.SHUT_RDWR)
