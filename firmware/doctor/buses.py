"""Checks of the device nodes: SPI and its buffer, GPIO chips by label, serial ports, and who may use them.

Looks at nodes and asks a chip for its label; never opens an SPI device or a line.
"""

from pathlib import Path

from firmware.doctor.board import NOT_A_PI
from firmware.doctor.boot import boot_folder, parameter_on, raspberry
from firmware.doctor.findings import Finding, fail, ok, skipped, warn
from firmware.doctor.machine import Machine
from firmware.wiring import HEADER_LABELS

FRAME_BYTES_OF_FOUR = 4 * 27
_EEPROM_BUS = "spidev10."  # on a Pi 5: the boot loader's flash, not on the header


def spi_nodes(machine: Machine) -> Finding:
    """The header's SPI devices are there."""
    nodes = _spi(machine)
    pi = raspberry(machine)
    if nodes:
        return ok(", ".join(map(str, nodes)), nodes=len(nodes))
    if pi is None:
        return skipped(f"no /dev/spidev*, {NOT_A_PI}")
    if parameter_on(machine, pi.soc, "spi"):
        return fail(
            "no /dev/spidev0.*, though config.txt has dtparam=spi=on",
            "restart if it was written since the last start, else load the driver:",
            "sudo modprobe spidev",
            nodes=0,
        )
    return fail(
        "no /dev/spidev0.*: SPI is off",
        f"write dtparam=spi=on in {boot_folder(machine)}/config.txt and restart",
        nodes=0,
    )


def spi_permission(machine: Machine) -> Finding:
    """This user may open them."""
    nodes = _spi(machine)
    return _permission(machine, nodes, "spi", 'SUBSYSTEM=="spidev"') if nodes else skipped("no SPI device")


def spi_buffer(machine: Machine) -> Finding:
    """One transfer holds the frames of four daisy-chained chips."""
    text = machine.text("/sys/module/spidev/parameters/bufsiz")
    if text is None or not text.isdigit():
        return skipped("the spidev module is not loaded")
    size = int(text)
    if size < FRAME_BYTES_OF_FOUR:
        return fail(
            f"{size} bytes; four chips need {FRAME_BYTES_OF_FOUR}",
            f"append spidev.bufsiz=4096 to the line in {boot_folder(machine)}/cmdline.txt and restart",
            bufsiz=size,
        )
    return ok(f"{size} bytes in one transfer", bufsiz=size)


def gpio_chips(machine: Machine) -> Finding:
    """The chip behind the header, found by its label."""
    chips = machine.glob("/dev/gpiochip*")
    pi = raspberry(machine)
    if not chips and pi is None:
        return skipped(f"no /dev/gpiochip*, {NOT_A_PI}")
    labels = {chip: _label(machine, chip) for chip in chips}
    header = [chip for chip, label in labels.items() if label in HEADER_LABELS]
    if header:
        others = len({machine.path(chip).resolve() for chip in chips}) - 1
        found = f"{header[0]} is {labels[header[0]]}" + (f", {others} more" if others else "")
        return ok(found, chips=len(chips), label=labels[header[0]] or "")
    wanted = ", ".join(HEADER_LABELS)
    unread = [str(chip) for chip, label in labels.items() if label is None]
    if unread:
        _, cure, commands = _join(machine, "gpio", 'SUBSYSTEM=="gpio", KERNEL=="gpiochip*"')
        return (fail if pi else warn)(f"{', '.join(unread)} cannot be asked for its label", cure, *commands)
    said = ", ".join(f"{chip.name} {label}" for chip, label in labels.items()) or "no /dev/gpiochip*"
    if pi is None:
        return ok(f"{said}; no Raspberry Pi header", chips=len(chips))
    return fail(
        f"{said}; none of {wanted}",
        "the header's driver is not loaded: start the Raspberry Pi's own kernel",
        "sudo apt install --reinstall linux-image-rpi-v8 linux-image-rpi-2712",
        chips=len(chips),
    )


def gpio_permission(machine: Machine) -> Finding:
    """This user may use the header's lines."""
    chips = machine.glob("/dev/gpiochip*")
    header = [chip for chip in chips if _label(machine, chip) in HEADER_LABELS] or chips
    if not header:
        return skipped("no GPIO chip")
    return _permission(machine, header[:1], "gpio", 'SUBSYSTEM=="gpio", KERNEL=="gpiochip*"')


def serial_ports(machine: Machine) -> Finding:
    """Ports that a coprocessor may be on, and who may open them."""
    ports = [*machine.glob("/dev/ttyACM*"), *machine.glob("/dev/ttyUSB*")]
    if not ports:
        return skipped("no USB serial port: no coprocessor is plugged in")
    closed = [port for port in ports if not machine.usable(port)]
    if not closed:
        return ok(", ".join(map(str, ports)), ports=len(ports))
    by, cure, commands = _join(machine, "dialout", 'SUBSYSTEM=="tty", KERNEL=="ttyACM*"')
    return warn(f"{', '.join(map(str, closed))}: {by}", cure, *commands, ports=len(ports))


def _spi(machine: Machine) -> list[Path]:
    return [node for node in machine.glob("/dev/spidev*") if not node.name.startswith(_EEPROM_BUS)]


def _label(machine: Machine, chip: Path) -> str | None:
    try:
        return machine.chip_label(machine.path(chip))
    except OSError:
        return None


def _permission(machine: Machine, nodes: list[Path], group: str, rule: str) -> Finding:
    closed = [node for node in nodes if not machine.usable(node)]
    if not closed:
        return ok(f"{machine.user.name} may use {', '.join(map(str, nodes))}")
    by, cure, commands = _join(machine, group, rule)
    return fail(f"{', '.join(map(str, closed))}: {by}", cure, *commands)


def _join(machine: Machine, group: str, rule: str) -> tuple[str, str, tuple[str, ...]]:
    """Why a user may not use a group's devices, and the cure in words and commands."""
    user, entry = machine.user, machine.group(group)
    by = f"not for {user.name}"
    line = f'{rule}, GROUP="{group}", MODE="0660"'
    give = f"echo '{line}' | sudo tee /etc/udev/rules.d/60-evokd-{group}.rules"
    join = f"sudo usermod -aG {group} {user.name}"
    if entry is None:
        make = f"sudo groupadd --system {group}"
        cure = "make the group, give it the devices, join it, then restart:"
        return f"{by}, and there is no group {group}", cure, (make, give, join)
    gid, members = entry
    if gid in user.gids:
        return f"{by}, though in group {group}", "give the group the devices, then restart:", (give,)
    if user.name in members:
        return f"{by} yet: in group {group} since the last login", "log out and in again", ()
    return f"{by}: not in group {group}", "join it, then log out and in again:", (join,)
