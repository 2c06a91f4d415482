"""Every check that the doctor makes, in the order of the table: one line each.

Owns the names, the topics and why each matters; runs them one by one, and turns what a check could not read
into a finding.
"""

from collections.abc import Iterator

from firmware.doctor import board, buses, clocks, disk, kernel, rights, software
from firmware.doctor.findings import Check, Finding, Row, warn
from firmware.doctor.machine import Machine

CHECKS = (
    Check("model", "board", "rates are measured on a Pi 4 and a Pi 5", board.model),
    Check("architecture", "board", "the sample loop is compiled", kernel.architecture),
    Check("processors", "board", "edge, host and display share them", kernel.processors),
    Check("memory", "board", "rings and averages stay in memory", kernel.memory),
    Check("swap", "board", "a page read from disk is samples lost", kernel.swap),
    Check(
        "core clock",
        "board",
        "SPI is divided from it; a moving clock puts spikes in the samples",
        board.core_clock,
        tier_b=True,
    ),
    Check("supply", "board", "under-voltage slows the processor and corrupts cards", board.supply),
    Check("temperature", "board", "a hot processor is slowed, and wakes late", board.temperature),
    Check("kernel", "kernel", "numbered edges are how loss is counted", kernel.version),
    Check(
        "preemption",
        "kernel",
        "tails of 320 µs on a stock kernel, 60 to 120 with PREEMPT_RT",
        kernel.preemption,
        tier_b=True,
    ),
    Check("governor", "kernel", "a clock that must first rise wakes late", kernel.governor, tier_b=True),
    Check("isolated CPU", "kernel", "nothing else delays the sample loop", kernel.isolation, tier_b=True),
    Check(
        "RT throttling", "kernel", "keeps the machine alive if a real-time thread spins", kernel.throttling
    ),
    Check(
        "real-time rights",
        "kernel",
        "without SCHED_FIFO, any busy process delays the sample loop",
        rights.realtime,
        tier_b=True,
    ),
    Check(
        "locked memory",
        "kernel",
        "a page fault in the sample loop is a late read",
        rights.locked_memory,
        tier_b=True,
    ),
    Check(
        "wake-up", "kernel", "tail and transfer must fit into one sample period", rights.wakeup, tier_b=True
    ),
    Check("SPI devices", "buses", "the converters are on them", buses.spi_nodes),
    Check("SPI permission", "buses", "the edge does not run as root", buses.spi_permission),
    Check("SPI buffer", "buses", "a daisy chain is read in one transfer", buses.spi_buffer),
    Check("GPIO chips", "buses", "data-ready and triggers; chips are found by label", buses.gpio_chips),
    Check("GPIO permission", "buses", "the edge does not run as root", buses.gpio_permission),
    Check("serial ports", "buses", "a coprocessor speaks through one", buses.serial_ports),
    Check("Python", "software", "the oldest that is tested", software.python),
    Check("packages", "software", "older ones are not tested", software.packages),
    Check("bindings", "software", "edges and transfers go through gpiod v2 and spidev", software.bindings),
    Check("pin library", "software", "RPi.GPIO and rpi-lgpio install the same package", software.pin_library),
    Check("loop cache", "software", "without it every start compiles for seconds", software.loop_cache),
    Check("room", "storage", "a full disk ends the recording", disk.room),
    Check("writes", "storage", "a power cut may cost 2 s of a case, no more", disk.writing),
    Check("mount", "storage", "what was taken must be kept", disk.mounted),
    Check("device", "storage", "worn flash fails without notice", disk.device),
    Check("clock source", "time", "each time stamp reads it", kernel.clock_source),
    Check("wall clock", "time", "dates the case and joins it with other devices' logs", clocks.synchronised),
)


def examine(machine: Machine) -> Iterator[Row]:
    """Every check's row, as it is done."""
    for check in CHECKS:
        yield Row(check, _look(check, machine))


def _look(check: Check, machine: Machine) -> Finding:
    try:
        return check.look(machine)
    except (OSError, ValueError) as error:
        return warn(f"could not be judged: {error}", "report this line with the output of uname -a")
