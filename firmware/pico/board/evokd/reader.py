"""Frames and edge times from the state machines into memory, by DMA: the interpreter may be late by 250 ms.

Each converter's bytes go round 16 buffers; a second DMA channel hands the next address over. A third ring
takes the time of every edge, and its count of transfers is the edge count: the index is counted by hardware,
whether frames were read or not. Sources: RP2040 datasheet 2.5 (DMA), 3.2 (PIO).
"""

import time
from array import array

import machine
import rp2
import uctypes

from evokd import pins, programs
from evokd.faults import Refused

SLOTS = 16
"""Buffers of a ring, a power of two: their addresses stand in a table that the DMA goes round."""
HELD_MS = 250
"""So late the interpreter may be: all buffers but the one that is written and the one that is read."""
TABLE_BITS = 6
"""That table's bytes, as a power of two."""
STAMPS = 1024
"""Edge times that are kept: a power of two."""
WORD = 0xFFFFFFFF
LAP = 0x3FFFFFFF
"""Edges that are counted before the count begins anew: as many as an integer of this interpreter holds."""
DMA_BASE, PIO0_BASE = 0x50000000, 0x50200000
RX_FIFO, CHANNEL_BYTES, WRITE_TRIGGER, COUNT_TRIGGER = 0x20, 0x40, 0x2C, 0x1C
BLOCK_BYTES, REQUESTS, RX_REQUEST = 0x100000, 8, 4
"""From one PIO block to the next: its registers, its request lines; the first of those for receiving."""
MACHINES = 4
SET, CLEAR = 0x2000, 0x3000
"""Aliases of a block's registers, the first of which enables: bits written there are set or cleared."""
PAUSE_TRIES = 50
EDGE_MS = 20


def _aligned(size):
    """(memory, address within it) of `size` bytes at a multiple of `size`."""
    memory = bytearray(2 * size)
    address = uctypes.addressof(memory)
    return memory, address + (-address & size - 1)


def _fifo(number):
    """Where a state machine's words are to be read."""
    return PIO0_BASE + BLOCK_BYTES * (number // MACHINES) + RX_FIFO + 4 * (number % MACHINES)


def _request(number):
    """The line by which its FIFO paces a channel."""
    return REQUESTS * (number // MACHINES) + RX_REQUEST + number % MACHINES


class Reader:
    """State machines, whose numbers are `numbers`, and DMA for `chips` converters of `frame_bytes` each."""

    def __init__(self, numbers, chips, frame_bytes, rate_hz, rdata):
        self.clock_hz = machine.freq()
        self.chips, self.frame_bytes = chips, frame_bytes
        self.rows = max(1, -(-rate_hz * HELD_MS // (1000 * (SLOTS - 2))))
        self._machines, self._channels, self._begin, self._memory = [], [], [], []
        program = programs.reader(self.clock_hz, pins.READY, chips, rdata)
        for k in range(chips):
            sm = rp2.StateMachine(
                numbers["reader"] + k,
                program,
                in_base=machine.Pin(pins.DOUT + k),
                out_base=machine.Pin(pins.DIN),
                set_base=machine.Pin(pins.SELECT),
                sideset_base=machine.Pin(pins.SCLK),
            )
            sm.put(programs.reader_word(8 * frame_bytes, rdata))
            sm.exec("pull(noblock)")
            sm.exec("mov(y, osr)")
            self._machines.append(sm)
        self.buffers = [self._ring(k) for k in range(chips)]
        self._stamp = numbers["stamp"]
        stamp = rp2.StateMachine(self._stamp, programs.stamp(), jmp_pin=machine.Pin(pins.READY))
        self._machines.append(stamp)
        self._stamps = self._time_ring()
        self._edges = 0
        self._readers = (1 << chips) - 1 << numbers["reader"]
        bits = 8 * frame_bytes
        self._read_us = programs.read_cycles(self.clock_hz, bits, rdata) * 1000000 // self.clock_hz + 2
        self._select = machine.Pin(pins.SELECT)
        self._frames = 0
        self.missed = 0
        """Edges whose frames were never read: an index is by so much more than its place in the rings."""

    def _ring(self, k):
        """Buffers of one converter, and the two channels that fill them in turn."""
        buffers = [bytearray(self.rows * self.frame_bytes) for _ in range(SLOTS)]
        memory, at = _aligned(4 * SLOTS)
        table = [uctypes.addressof(buffer) & WORD for buffer in buffers]
        words = array("I", table)
        uctypes.bytearray_at(at, 4 * SLOTS)[:] = bytes(words)
        bytes_in, next_out = rp2.DMA(), rp2.DMA()
        bytes_in.config(
            read=_fifo(k),
            write=table[0],
            count=self.rows * self.frame_bytes,
            ctrl=bytes_in.pack_ctrl(size=0, inc_read=False, treq_sel=_request(k), chain_to=next_out.channel),
        )
        next_out.config(
            read=(at & WORD) + 4,
            write=DMA_BASE + CHANNEL_BYTES * bytes_in.channel + WRITE_TRIGGER,
            count=1,
            ctrl=next_out.pack_ctrl(size=2, inc_write=False, ring_size=TABLE_BITS, ring_sel=False),
        )
        self._channels += [bytes_in, next_out]
        if not k:
            self._first = bytes_in, next_out, at & WORD
        self._memory.append(memory)
        self._begin.append(bytes_in)
        return buffers

    def _time_ring(self):
        """The ring of edge times, and the channel that lets the count go on when it has run out."""
        memory, at = _aligned(4 * STAMPS)
        self._times_in, again = rp2.DMA(), rp2.DMA()
        self._times_in.config(
            read=_fifo(self._stamp),
            write=at & WORD,
            count=LAP,
            ctrl=self._times_in.pack_ctrl(
                size=2,
                inc_read=False,
                treq_sel=_request(self._stamp),
                ring_size=12,
                ring_sel=True,
                chain_to=again.channel,
            ),
        )
        whole = array("I", [LAP])
        again.config(
            read=uctypes.addressof(whole) & WORD,
            write=DMA_BASE + CHANNEL_BYTES * self._times_in.channel + COUNT_TRIGGER,
            count=1,
            ctrl=again.pack_ctrl(size=2, inc_read=False, inc_write=False),
        )
        self._channels += [self._times_in, again]
        self._begin.append(self._times_in)
        self._memory += [memory, whole]
        return uctypes.bytearray_at(at, 4 * STAMPS)

    def active(self, on):
        """Begin, before START is raised."""
        for channel in self._begin:
            channel.active(on)
        for sm in self._machines:
            sm.active(on)

    def close(self):
        """End; what was taken of the chip is free for another reader."""
        for sm in self._machines:
            sm.active(0)
        for channel in self._channels:
            channel.active(0)
            channel.close()

    def edges(self):
        """How many data-ready edges there were."""
        passed = LAP - self._times_in.count
        self._edges += (passed - self._edges % LAP) % LAP
        return self._edges

    def stamp(self, index):
        """Count of the clock at edge `index`, running down; None when it is no longer kept."""
        if self.edges() - index >= STAMPS:
            return None
        at = 4 * (index % STAMPS)
        return int.from_bytes(self._stamps[at : at + 4], "little")

    def pause(self):
        """Stop between two frames; the index behind the last one that is surely in its place: what was read
        after the first attempt may stand behind a hole. Refused when no edge comes, or the machines cannot be
        stopped. Edges go on being counted and stamped."""
        good = self._stop()
        come = self.edges() - self.missed
        self._frames = come - (come - self._place()) % (SLOTS * self.rows)
        return good

    def resume(self):
        """Have the pins back and read on; the index of the first edge whose frame counts. Refused as above.

        A machine that is stopped while it waits for data-ready would read at once, late: it begins anew.
        """
        for pin in [pins.SCLK, pins.DIN] + [pins.SELECT + k for k in range(self.chips)]:
            machine.Pin(pin, machine.Pin.ALT, alt=pins.PIO0_FUNCTION)
        for _ in range(PAUSE_TRIES):
            for sm in self._machines[: self.chips]:
                sm.restart()
            edges = self._edge()
            machine.mem32[PIO0_BASE + SET] = self._readers
            if self.edges() == edges:  # else nobody can tell whether that edge's frame is read
                self.missed = edges - self._frames
                return edges
            self._stop()
            self._frames += (self._place() - self._frames) % (SLOTS * self.rows)
        raise self._restless()

    def _stop(self):
        """Stop all readers at once while chip select is high; how many edges there were before. While it is
        low a frame is under way, which is let go on."""
        edges = self._edge()
        for _ in range(PAUSE_TRIES):
            time.sleep_us(self._read_us)
            machine.mem32[PIO0_BASE + CLEAR] = self._readers
            if self._select():
                return edges
            machine.mem32[PIO0_BASE + SET] = self._readers
        raise self._restless()

    def _restless(self):
        return Refused("fault", "the readers cannot be stopped between two frames; lower the rate")

    def _edge(self):
        """Wait for the next edge; how many there were. Refused when none comes."""
        edges, began_ms = self.edges(), time.ticks_ms()
        while self.edges() == edges:
            if time.ticks_diff(time.ticks_ms(), began_ms) > EDGE_MS:
                raise Refused("fault", "no samples are coming in")
        return self.edges()

    def _place(self):
        """Where in its ring the first converter's next frame goes, in rows: by the buffer that is handed over
        next and by the bytes that this one still lacks. Reading is stopped."""
        bytes_in, next_out, table = self._first
        size = self.rows * self.frame_bytes
        slot = ((next_out.read - table) // 4 - 1) % SLOTS
        return slot * self.rows + (size - bytes_in.count) // self.frame_bytes
