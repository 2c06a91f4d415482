"""How a rig is set up, whichever way its nodes are served.

Owns the choice and its defaults; refuses to check what a command line says (options.py).
"""

from dataclasses import dataclass, field
from typing import Final

from firmware.rig.namespace import GpioNode
from firmware.rig.wires import Wiring

DEFAULT_GPIO: Final = (
    GpioNode("gpiochip0", "pinctrl-bcm2711", "raspberrypi,bcm2711-gpio"),
    GpioNode("gpiochip4", "pinctrl-rp1", "raspberrypi,rp1-gpio"),
)
REVISION: Final = "c03111"


@dataclass(frozen=True, slots=True)
class RigOptions:
    """How the rig is set up. `spi`: names in /dev, one per chip select. `speed` None: lockstep.

    `core`: the processor that program and rig share in lockstep, None leaves it to the system. `wire`:
    bytes take their time. `spi_max_hz`: the fastest clock that SPI has, 0 for any.
    """

    spi: tuple[str, ...] = ("spidev0.0",)
    gpio: tuple[GpioNode, ...] = DEFAULT_GPIO
    wiring: Wiring = field(default_factory=Wiring)
    speed: float | None = None
    core: int | None = None
    wire: bool = False
    spi_max_hz: int = 0
