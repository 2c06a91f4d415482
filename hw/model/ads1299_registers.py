"""The register file of the modelled ADS1299: what a write changes and what a read returns.

Owns read-only and reserved bits and the GPIO pins; knows neither commands nor conversions. What silicon does
with a wrong reserved bit is not documented: here it keeps its reset value, so a read-back shows the fault.
"""

from hw.chips import ChipSpec
from hw.frames import HEADER
from hw.model.ads1299_options import Trouble, no_trouble
from hw.registers import Address, Config4, Gpio, register_map

_BIAS_SENSE, _BIAS_STATUS = 0x02, 0x01


class RegisterFile:
    """The registers. `gpio_pins`, `lead_off_p`, `lead_off_n`, `bias_lead_off` come from outside the chip.

    Whoever changes one of the last three calls `derive` after it. `status_word` is what a conversion latches.

    `gpio_pins`: 4 bits, bit 0 = GPIO1, high = 1; they matter for pins that are inputs. `lead_off_p` and
    `lead_off_n`: one bit per channel, 1 = the comparator would see that electrode off. `bias_lead_off`: the
    bias electrode is off, seen in CONFIG3.BIAS_STAT while BIAS_LOFF_SENS is 1.
    """

    def __init__(self, chip: ChipSpec, trouble: Trouble | None = None) -> None:
        self._specs = register_map(chip)
        self._trouble = trouble or no_trouble()
        self._bytes = bytearray(32)
        self._pins = 0
        self.status_word = HEADER << 20
        self.lead_off_p = 0
        self.lead_off_n = 0
        self.bias_lead_off = False
        self.reset()

    def reset(self) -> None:
        """Every register takes its reset value; all four GPIO become inputs."""
        for address, spec in self._specs.items():
            self._bytes[address] = spec.reset
        self.derive()

    def read(self, address: int) -> int:
        """The byte at `address`; 0 where there is no register."""
        if address == Address.GPIO:
            return self.gpio_levels << 4 | self.gpio_inputs
        if address == Address.LOFF_STATP:
            return self.status_p
        if address == Address.LOFF_STATN:
            return self.status_n
        if address not in self._specs:
            return 0
        if address == Address.ID and self._trouble.id_override is not None:
            return self._trouble.id_override
        byte = self._stuck(address, self._bytes[address])
        if address == Address.CONFIG3 and byte & _BIAS_SENSE and self.bias_lead_off:
            byte |= _BIAS_STATUS
        return byte

    def write(self, address: int, value: int) -> None:
        """Change the writable bits at `address`; the others, and unknown addresses, stay as they are."""
        spec = self._specs.get(address)
        if spec is None:
            return
        self._bytes[address] = self._bytes[address] & ~spec.writable & 0xFF | value & spec.writable
        self.derive()

    @property
    def gpio_pins(self) -> int:
        """Levels driven from outside."""
        return self._pins

    @gpio_pins.setter
    def gpio_pins(self, levels: int) -> None:
        self._pins = levels
        self._restate()

    @property
    def gpio_levels(self) -> int:
        """The four pins as they stand now: inputs as driven from outside, outputs as written."""
        trouble = self._trouble
        levels = self.gpio_outputs | self._pins & self.gpio_inputs
        return levels & ~trouble.gpio_stuck_low | trouble.gpio_stuck_high

    @property
    def status_p(self) -> int:
        """LOFF_STATP: meaningless unless sensed with the comparators on, here 0 then (facts 1.4)."""
        return (self.lead_off_p | self._trouble.lead_off_stuck_p) & self._mask_p

    @property
    def status_n(self) -> int:
        """LOFF_STATN, as LOFF_STATP."""
        return (self.lead_off_n | self._trouble.lead_off_stuck_n) & self._mask_n

    def derive(self) -> None:
        """What every conversion needs of the registers, worked out once per write or change outside."""
        gpio = Gpio.decode(self._stuck(Address.GPIO, self._bytes[Address.GPIO]))
        self.gpio_inputs = gpio.inputs
        # A level written to an input is ignored; it cannot surface later, as turning round rewrites it.
        self.gpio_outputs = gpio.levels & ~gpio.inputs & 0x0F
        comparators_on = Config4.decode(self.read(Address.CONFIG4)).lead_off_comparators
        self._mask_p = self.read(Address.LOFF_SENSP) if comparators_on else 0
        self._mask_n = self.read(Address.LOFF_SENSN) if comparators_on else 0
        self._restate()

    def _restate(self) -> None:
        """The status word as the next conversion latches it [DS-A p27]."""
        self.status_word = HEADER << 20 | self.status_p << 12 | self.status_n << 4 | self.gpio_levels

    def _stuck(self, address: int, byte: int) -> int:
        if self._trouble.register_stuck and address in self._trouble.register_stuck:
            mask, levels = self._trouble.register_stuck[address]
            return byte & ~mask & 0xFF | levels & mask
        return byte
