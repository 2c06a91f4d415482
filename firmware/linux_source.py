"""A front end on this machine's device nodes as a source: ports, driver, compiled loop, recovery.

Wires things together and knows what to do when the loop returns; what a sample means is decided elsewhere. A
chip that falls silent or loses its registers is brought up anew, and what was not seen is a gap.
"""

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path

from firmware import held
from firmware.acquisition import Acquisition, acquisition_state
from firmware.blocks import Assembler
from firmware.errors import ChipError, ConfigError, PortError
from firmware.front_end import FrontEnd, FrontEndInfo, FrontEndSetup
from firmware.leads.calibration import UNCALIBRATED, read_calibration
from firmware.leads.monitor import LeadMonitor
from firmware.linux import (
    GpiodEdges,
    GpiodOutputs,
    MonotonicClock,
    RpiGpioOutputs,
    SpidevPort,
    gpio_chip,
)
from firmware.loop.nodes import HEADERLESS, STOPPED
from firmware.loop.runner import ChipRead, LinuxLoop
from firmware.loop.state import EXPECTED
from firmware.ports import Command, LeadCommand, Put
from firmware.realtime import claim
from firmware.timebase import TimebaseReporter
from firmware.wiring import Wiring
from hw.board import LATENCY_OFFSET_SAMPLES, lines_of
from hw.frames import decode_board
from hw.link import LOCK_IMPEDANCE, Configure, Description, Ended, Fault, Lockout

Say = Callable[[str], None]
RETRY_S = 0.5


class LinuxSource:
    """The board that `wiring` describes. `say` gets one line about what the kernel granted.

    `seconds` ends it after so many seconds of samples. Devices are opened by `configure` and held until the
    next one or `close`.
    """

    patient = False

    def __init__(self, wiring: Wiring, seconds: float | None, say: Say) -> None:
        self._wiring, self._seconds, self._say = wiring, seconds, say
        self._clock = MonotonicClock()
        self._ports: list[SpidevPort] = []
        self._edges: GpiodEdges | None = None
        self._outputs: GpiodOutputs | RpiGpioOutputs | None = None
        self._start: GpiodOutputs | None = None
        self._front_end: FrontEnd | None = None
        self._setup: FrontEndSetup | None = None
        self._info: FrontEndInfo | None = None
        self._channels = 0
        self._loop: LinuxLoop | Acquisition | None = None
        self._leads: LeadMonitor | None = None
        self.quiet: Callable[[], None] = lambda: None
        calibration = Path(wiring.calibration) if wiring.calibration else None
        self._calibration = UNCALIBRATED if calibration is None else read_calibration(calibration)

    def configure(self, wanted: Configure) -> Description:
        """Open the devices and bring the chips up. Raises ConfigError, ChipError, PortError."""
        wiring = self._wiring
        if len(wanted.lines) > len(wiring.lines):
            raise ConfigError(
                f"{len(wanted.lines)} stimulus lines wanted, {len(wiring.lines)} are wired; remove some"
            )
        refusal = held.refuse(wanted.rate_hz, len(wiring.spi))
        if refusal:
            raise ConfigError(refusal)
        self.close()
        try:
            chip = gpio_chip(wiring.gpio)
            # Outputs first: low before anything else happens.
            self._outputs = (
                GpiodOutputs(chip, wiring.lines)
                if wiring.outputs == "gpiod"
                else RpiGpioOutputs(wiring.lines)
            )
            if wiring.start is not None:
                self._start = GpiodOutputs(chip, [wiring.start], "START line")
            self._ports = [SpidevPort(address, wiring.spi_hz) for address in wiring.spi]
            self._front_end = FrontEnd(self._ports, self._clock, self._start)
            self._setup = FrontEndSetup(
                rate_hz=wanted.rate_hz,
                gain=wanted.gain,
                read_mode=wiring.read,
                chips=None if wiring.daisy else len(wiring.spi),
                daisy=wiring.daisy,
                sclk_hz=wiring.spi_hz,
            )
            info = self._front_end.bring_up(self._setup)
            if len(wanted.channels) > len(info.lsb_uv):
                n = len(info.lsb_uv)
                raise ConfigError(f"{len(wanted.channels)} channels wanted, the board has {n}; remove some")
            if len(wiring.lines) > (most := lines_of(len(info.chips))):
                raise ConfigError(
                    f"{len(wiring.lines)} stimulus lines are wired, {len(info.chips)} chips see {most}; "
                    "remove some"
                )
            self._edges = GpiodEdges(chip, wiring.data_ready, wanted.rate_hz, self._last(wanted.rate_hz))
        except BaseException:
            self.close()
            raise
        self._info, self._channels = info, len(wanted.channels)
        self._leads = LeadMonitor(
            self._front_end, info, wanted.channels, self._clock, self._calibration, self._lock
        )
        self._loop = self._make_loop(info, self._leads)
        n = self._channels
        return Description(
            "pi",
            wanted.rate_hz,
            wanted.channels,
            tuple(info.lsb_uv[:n]),
            (0.0,) * n,
            LATENCY_OFFSET_SAMPLES,
            len(wiring.lines),
        )

    def _make_loop(self, info: FrontEndInfo, leads: LeadMonitor) -> LinuxLoop | Acquisition:
        """The compiled loop, or the one over ports for outputs that have no descriptor."""
        edges, outputs, front_end = self._edges, self._outputs, self._front_end
        if edges is None or outputs is None or front_end is None:
            raise ConfigError("not configured")
        layout, rate_hz, lines = info.layout, info.rate_hz, len(self._wiring.lines)
        if outputs.fd < 0:
            return Acquisition(
                lambda: edges.checked(front_end.read_frame),
                edges,
                outputs,
                rate_hz,
                len(self._wiring.lines),
                self._channels,
                layout.row_bytes,
                layout.first_bits,
                leads.watched(lambda rows: decode_board(rows, layout, lines)),
            )
        self._state = acquisition_state(rate_hz, len(self._wiring.lines), layout.row_bytes, layout.first_bits)
        reads = [
            ChipRead(port.fd, read.mosi, read.skip, read.length, self._wiring.spi_hz)
            for port, read in zip(self._ports, info.frame_reads, strict=True)
        ]
        return LinuxLoop(self._state, rate_hz, edges.fd, outputs.fd, reads)

    def command(self, command: Command) -> None:
        """Queue a stimulus command."""
        if self._loop is not None:
            self._loop.command(command)

    def _lock(self, on: bool) -> None:
        """A current for impedance flows, or no longer."""
        self.command(Lockout(0, LOCK_IMPEDANCE, int(on)))

    def heard(self, t_ns: int) -> None:
        """The host was heard; see ports.Source."""
        if self._loop is not None:
            self._loop.heard(t_ns)

    def lead_command(self, command: LeadCommand) -> None:
        """Queue a command about the leads."""
        if self._leads is not None:
            self._leads.command(command)

    def run(self, put: Put, stop: threading.Event) -> None:
        """Acquire until `stop` or the configured seconds are over; PortError when a device is gone."""
        loop, front_end, leads = self._loop, self._front_end, self._leads
        if loop is None or front_end is None or leads is None:
            raise ConfigError("not configured")
        try:
            with leads.tapped(put) as tapped:
                if isinstance(loop, Acquisition):
                    front_end.start()
                    loop.quiet = self.quiet
                    loop.run(tapped, stop)
                else:
                    self._run_compiled(loop, front_end, leads, tapped, stop)
        finally:
            self.close()

    def _run_compiled(
        self, loop: LinuxLoop, front_end: FrontEnd, leads: LeadMonitor, put: Put, stop: threading.Event
    ) -> None:
        info = self._info
        if info is None:
            raise ConfigError("not configured")
        layout, over, lines = info.layout, threading.Event(), len(self._wiring.lines)
        decode = leads.watched(lambda rows: decode_board(rows, layout, lines))
        watch = TimebaseReporter(info.rate_hz).watch
        assembler = Assembler(self._state, info.rate_hz, self._channels, decode, watch)
        # START comes when the loop waits for edges, so that the first sample is the first one that it sees.
        wanted = (assembler, put, stop, over, self._last(info.rate_hz), front_end.start)
        drain = threading.Thread(target=loop.drain, args=wanted, name="blocks")
        drain.start()
        try:
            granted = claim(self._wiring.priority, self._wiring.cpu)
            self._say(f"sample loop: {granted.text()}")
            while (why := loop.serve()) != STOPPED:
                self._revive(why, leads, put, stop)
        finally:
            self._outputs_low()
            over.set()
            drain.join()
        loop.finish(assembler, put)
        if not stop.is_set():
            put(Ended(int(self._state.scalars[EXPECTED])))

    def _revive(self, why: int, leads: LeadMonitor, put: Put, stop: threading.Event) -> None:
        """The loop has lost its samples: look at the chips, and bring up what has lost its registers."""
        front_end, setup = self._front_end, self._setup
        if front_end is None or setup is None:
            raise ConfigError("not configured")
        while not stop.is_set():
            self.quiet()
            try:
                finding = front_end.still_configured()
                if not finding and why != HEADERLESS:
                    return  # the chip is well: the clock, START or the line is not, and may come back
                with leads.renewed():
                    front_end.bring_up(setup)
                    front_end.start()
            except (ChipError, PortError) as error:
                finding = str(error)
                if stop.wait(RETRY_S):
                    return
            else:
                text = f"{finding or 'frames without header'}; the chips were brought up anew"
                put(Fault("chip_restarted", text, 0))
                return

    def _last(self, rate_hz: float) -> int | None:
        """How many samples there shall be."""
        return None if self._seconds is None else round(self._seconds * rate_hz)

    def _outputs_low(self) -> None:
        """Low, if the lines are still there; when they are not, the first cause is the one to tell."""
        if self._outputs is not None:
            with contextlib.suppress(PortError):
                self._outputs.write(0)

    def close(self) -> None:
        """Outputs low and every device given back, those too that are gone."""
        self._outputs_low()
        for device in (self._outputs, self._start, self._edges, *self._ports):
            if device is not None:
                with contextlib.suppress(PortError):
                    device.close()
        self._outputs = self._start = self._edges = None
        self._ports = []
