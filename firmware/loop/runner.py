"""The compiled loop's other half: its memory, its commands, and what its return means.

Builds the structures of the system calls once, posts commands so that the loop takes them between samples,
and drains its ring in a thread of its own. Owns no device; whoever opened the descriptors closes them.
"""

import os
import select
import struct
import threading
from collections.abc import Callable, Sequence

import numpy as np

from firmware.blocks import Assembler
from firmware.errors import PortError
from firmware.loop import nodes as loop
from firmware.loop.grid import edge_grid
from firmware.loop.state import EXPECTED, NOTIFY, LoopState
from firmware.orders import Order, Orders
from firmware.ports import Command, Put
from hw.link import ALL_PLANS, Reply, StimArm, StimPlan, StimStop

POLL_S, BEGIN_S = 0.1, 5.0
KEPT_SLOTS = 8
"""Of the mailbox, for what stops or locks: plans and arms must not take the last room."""
SPI_IOC_TRANSFER = struct.Struct("=QQIIHBBBBBB")
POLLFD = struct.Struct("=ihh")
HOLD_SELECT_US = 2
"""tSCCS: chip select stays low 4 tCLK after the last byte (facts: hardware 1.3)."""
GONE = {
    loop.EDGE_GONE: "the data-ready line is gone; check the GPIO driver and who else uses the line",
    loop.SPI_GONE: "the SPI device is gone; check overlay and wiring, then start again",
    loop.OUTPUT_GONE: "the stimulus lines cannot be driven; check the GPIO driver and who else uses them",
}


class ChipRead:
    """How one chip's frame is fetched: descriptor, bytes to send, how many to skip, bytes of a frame."""

    def __init__(self, fd: int, mosi: bytes, skip: int, length: int, speed_hz: int) -> None:
        if len(mosi) != skip + length:
            raise ValueError(f"{len(mosi)} bytes sent for a frame of {skip} + {length}")
        self.fd, self.skip, self.length, self.speed_hz = fd, skip, length, speed_hz
        self.mosi = np.frombuffer(mosi, np.uint8).copy()


class LinuxLoop:
    """One run of the compiled loop. `command`, `stop` from any thread; `serve` in the one that acquires.

    `spi_command` and `spi_result` are for the bench, which has no SPI device; leave them alone.
    """

    def __init__(
        self,
        state: LoopState,
        rate_hz: float,
        edge_fd: int,
        output_fd: int,
        reads: Sequence[ChipRead],
        spi_command: int = loop.SPI_IOC_MESSAGE_1,
        check_length: bool = True,
    ) -> None:
        self._state, self._rate_hz = state, rate_hz
        self._orders = Orders(state, rate_hz)
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._note = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._reads = tuple(reads)
        self.io = self._memory(edge_fd, output_fd, spi_command, check_length)
        self._posted = 0
        self._posting = threading.Lock()
        self._refused: list[Reply] = []
        self._failure: BaseException | None = None

    def _memory(self, edge_fd: int, output_fd: int, command: int, check: bool) -> loop.LoopIo:
        reads = self._reads
        wiring = np.zeros(loop.N_WIRING + 2 * loop.MOST_CHIPS, np.int64)
        wiring[: loop.TRANSFER_RESULT + 1] = (
            edge_fd,
            self._wake,
            output_fd,
            self._note,
            len(reads),
            reads[0].skip,
            command,
            1 if check else -1,
        )
        wiring[loop.CARRIED] = loop.NONE_CARRIED
        longest = max(read.skip + read.length for read in reads)
        reply = np.zeros((len(reads), longest), np.uint8)
        transfers = np.zeros((len(reads), SPI_IOC_TRANSFER.size), np.uint8)
        for k, read in enumerate(reads):
            wiring[loop.N_WIRING + k] = read.fd
            wiring[loop.N_WIRING + loop.MOST_CHIPS + k] = read.length
            addresses = read.mosi.ctypes.data, reply[k].ctypes.data
            tail = (read.skip + read.length, read.speed_hz, HOLD_SELECT_US, 8, 0, 0, 0, 0, 0)
            transfers[k] = np.frombuffer(SPI_IOC_TRANSFER.pack(*addresses, *tail), np.uint8)
        grid, clock = edge_grid(self._rate_hz)
        polls = POLLFD.pack(edge_fd, select.POLLIN, 0) + POLLFD.pack(self._wake, select.POLLIN, 0)
        return loop.LoopIo(
            wiring,
            grid,
            clock,
            np.frombuffer(polls, np.uint8).copy(),
            np.zeros(loop.MOST_EVENTS * loop.EVENT_WORDS, np.int64),
            transfers,
            reply,
            np.zeros(sum(read.length for read in reads), np.uint8),
            np.zeros((loop.MAIL_SLOTS, loop.MAIL_WORDS), np.int64),
            np.zeros(8, np.int64),
        )

    def command(self, command: Command) -> None:
        """Post a stimulus command; the loop takes it before its next sample. Any thread."""
        order = self._orders.take(command)
        room = loop.MAIL_SLOTS - (KEPT_SLOTS if isinstance(command, StimPlan | StimArm) else 0)
        with self._posting:
            full = self._posted - int(self.io.wiring[loop.MAIL_OUT]) >= room
            if not isinstance(order, Order):
                self._refused.append(Reply(command.command, order))
            elif full and isinstance(command, StimStop) and command.plan == ALL_PLANS:
                self.io.wiring[loop.HALT_COMMAND] = command.command
                self.io.wiring[loop.HALT] = 1
            elif full:
                self._refused.append(Reply(command.command, "too many commands at once; send it again"))
            else:
                self._post(order.verb, order.row.tolist())
        os.eventfd_write(self._wake, 1)

    def _post(self, verb: int, row: list[int]) -> None:
        """Serial number and checksum last: the loop believes no row that is not complete."""
        slot = self.io.mail[self._posted % loop.MAIL_SLOTS]
        serial = self._posted + 1
        slot[0] = 0
        slot[1], slot[2:-1] = verb, row
        slot[-1] = serial + verb + sum(row)
        slot[0] = serial
        self._posted = serial

    def heard(self, t_ns: int) -> None:
        """The host was heard at `t_ns`; 0: none is watched. One word, which the loop reads. Any thread."""
        self.io.wiring[loop.HEARD_NS] = t_ns

    def stop(self) -> None:
        """Let `serve` return before the next sample. Any thread."""
        self.io.wiring[loop.STOP] = 1
        os.eventfd_write(self._wake, 1)

    def serve(self) -> int:
        """Run until stopped, silent or without headers; PortError when a device is gone."""
        self._state.scalars[NOTIFY] = 1  # the first thing it does is to say that it is there
        why = int(loop.acquire(self._state, self.io))
        if why in GONE:
            raise PortError(GONE[why])
        return why

    def drain(
        self,
        assembler: Assembler,
        put: Put,
        stopped: threading.Event,
        over: threading.Event,
        last: int | None = None,
        begin: Callable[[], None] = lambda: None,
    ) -> None:
        """Put what the loop delivers, until `over`; `begin` is called once the loop waits for edges.

        Ends the loop when `stopped`, when `begin` or `put` fails, and after about `last` samples.
        """
        try:
            select.select([self._note], [], [], BEGIN_S)
            begin()
        except Exception as error:  # noqa: BLE001 (handed to the thread that acquires, which raises it)
            self._failure = error
            self.stop()
        while not over.is_set():
            select.select([self._note], [], [], POLL_S)
            self._take(assembler, put, flush=False)
            enough = last is not None and self._state.scalars[EXPECTED] >= last
            if enough or stopped.is_set() or self._failure is not None:
                self.stop()

    def finish(self, assembler: Assembler, put: Put) -> None:
        """Put the rest; raises what the draining thread ran into."""
        if self._failure is None:
            self._take(assembler, put, flush=True)
        if self._failure is not None:
            raise self._failure

    def _take(self, assembler: Assembler, put: Put, flush: bool) -> None:
        try:
            try:
                os.eventfd_read(self._note)
            except BlockingIOError:
                if not flush and not self._refused:
                    return
            assembler.drain(put, flush)
            while self._refused:
                put(self._refused.pop(0))
        except Exception as error:  # noqa: BLE001 (handed to the thread that acquires, which raises it)
            self._failure = error

    def close(self) -> None:
        """Give the descriptors of its own back."""
        os.close(self._wake)
        os.close(self._note)
