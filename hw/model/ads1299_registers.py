"""The register file of the modelled ADS1299: what a write changes and what a read returns.

Owns read-only and reserved bits and the GPIO pins; knows neither commands nor conversions. What silicon does
with a wrong reserved bit is not documented: here it keeps its reset value, so a read-back shows the fault.
"""

from hw.chips import ChipSpec
from hw.registers import Address, Config4, Gpio, register_map


class RegisterFile:
    """The 24 bytes. `gpio_pins`, `lead_off_p`, `lead_off_n` are driven from outside the chip.

    `gpio_pins`: 4 bits, bit 0 = GPIO1, high = 1; they matter for pins that are inputs. `lead_off_p` and
    `lead_off_n`: one bit per channel, 1 = the comparator would see that electrode off.
    """

    def __init__(self, chip: ChipSpec) -> None:
        self._specs = register_map(chip)
        self._bytes = bytearray(len(self._specs))
        self.gpio_pins = 0
        self.lead_off_p = 0
        self.lead_off_n = 0
        self.reset()

    def reset(self) -> None:
        """Every register takes its reset value; all four GPIO become inputs."""
        for address, spec in self._specs.items():
            self._bytes[address] = spec.reset
        self._derive()

    def read(self, address: int) -> int:
        """The byte at `address`; 0 where there is no register."""
        if address == Address.GPIO:
            return self.gpio_levels << 4 | self.gpio_inputs
        if address == Address.LOFF_STATP:
            return self.lead_off_p & self.lead_off_mask_p
        if address == Address.LOFF_STATN:
            return self.lead_off_n & self.lead_off_mask_n
        return self._bytes[address] if address in self._specs else 0

    def write(self, address: int, value: int) -> None:
        """Change the writable bits at `address`; the others, and unknown addresses, stay as they are."""
        spec = self._specs.get(address)
        if spec is None:
            return
        self._bytes[address] = self._bytes[address] & ~spec.writable & 0xFF | value & spec.writable
        self._derive()

    @property
    def gpio_levels(self) -> int:
        """The four pins as they stand now: inputs as driven from outside, outputs as written."""
        return self.gpio_outputs | self.gpio_pins & self.gpio_inputs

    def _derive(self) -> None:
        """What every conversion needs of the registers, worked out once per write."""
        gpio = Gpio.decode(self._bytes[Address.GPIO])
        self.gpio_inputs = gpio.inputs
        # A level written to an input is ignored; it cannot surface later, as turning round rewrites it.
        self.gpio_outputs = gpio.levels & ~gpio.inputs & 0x0F
        comparators_on = Config4.decode(self._bytes[Address.CONFIG4]).lead_off_comparators
        self.lead_off_mask_p = self._bytes[Address.LOFF_SENSP] if comparators_on else 0
        self.lead_off_mask_n = self._bytes[Address.LOFF_SENSN] if comparators_on else 0
