"""What differs from part to part, or is not known, or is broken: options of the modelled chip.

Every doubt about silicon is a named choice here with its source. Owns no behaviour.
"""

from dataclasses import dataclass
from typing import Literal

GpioLatch = Literal["conversion", "opcode", "shift"]
ReadyRises = Literal["any_clock", "data_clock"]
PowerUp = Literal["strict", "marginal"]
SupplyFormula = Literal["half_sum", "half_difference"]
NegativeInput = Literal["srb1", "pins", "srb2"]
Ground = Literal["wired", "bias"]

MARGINAL_POWER_UP = 1 / 50
"""How often a chip given less than 2^18 tCLK comes up wrong, as a maker counted (E2E 480770)."""
MARGINAL_POWER_UP_TCLK = 1 << 16
"""The wait of the older datasheet; less than that never was enough."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the chip sits in: supplies, die temperature, where its inputs come from, what holds the body.

    `srb1`: the reference electrode is wired to the SRB1 pin, so a negative input floats until MISC1.SRB1 is
    closed. `pins`: every channel has its own negative electrode. `srb2`: the reference is on the SRB2 pin and
    the electrodes are on the negative inputs, so that a channel with CHnSET.SRB2 shows them inverted (facts
    1.9). `wired`: the body is tied to mid-supply from outside. `bias`: only the bias drive holds it.
    """

    avdd_v: float = 5.0
    avss_v: float = 0.0
    dvdd_v: float = 3.3
    temperature_c: float = 25.0
    negative_input: NegativeInput = "srb1"
    ground: Ground = "wired"

    @property
    def span_v(self) -> float:
        """The analogue supply, AVDD - AVSS."""
        return self.avdd_v - self.avss_v


@dataclass(frozen=True, slots=True)
class ChipOptions:
    """`noise`: the converter's own noise, seeded by `seed`; off, every conversion is exact.

    `gpio_latch`: when the levels in the status word are taken. Not in the datasheet, asked and not answered
    (E2E 549402; facts 2 and Unknowns): at the end of the conversion, at the opcode (in continuous mode when
    chip select falls), or when their byte is shifted out.
    `ready_rises`: whether any clock ends data-ready or only one that shifts data out (facts, Unknowns).
    `power_up`: `strict`, a chip spoken to before 2^18 tCLK is always lost; `marginal`, one in 50 after 2^16.
    `sdatac_erratum`: SDATAC is lost when chip select rises within 4 tCLK of its last bit (E2E 845509).
    `supply_formula`: MVDD on channels 1, 2, 5 to 8 is half the sum of AVDD and AVSS, or half the difference
    (facts 1.5, in doubt; the same with AVSS at 0 V).
    `lead_off_tolerance`: currents differ from lead to lead by up to this share, seeded (+-20 % was seen,
    facts 1.8); 0 gives the nominal current.
    """

    noise: bool = False
    seed: int = 1
    gpio_latch: GpioLatch = "conversion"
    ready_rises: ReadyRises = "any_clock"
    power_up: PowerUp = "strict"
    sdatac_erratum: bool = False
    supply_formula: SupplyFormula = "half_sum"
    lead_off_tolerance: float = 0.0


@dataclass(slots=True)
class Trouble:
    """What is broken in one chip and its analogue side; as built, nothing. Set through `BoardModel.apply`.

    Channels count from 0. Factors multiply, `reference_noise` is rms relative to the signal, `mains_uv` a
    50 Hz amplitude on electrode and shorted inputs, `crosstalk` (from, to, share of its counts),
    `register_stuck` address -> (mask, levels), `dead_codes` channel -> the code it always gives.
    """

    dead_codes: dict[int, int]
    gain_factors: dict[int, float]
    noise_factors: dict[int, float]
    register_stuck: dict[int, tuple[int, int]]
    crosstalk: tuple[int, int, float] | None = None
    reference_factor: float = 1.0
    reference_noise: float = 0.0
    reference_dead: bool = False
    test_signal_dead: bool = False
    bias_broken: bool = False
    srb1_open: bool = False
    lead_off_current_dead: bool = False
    lead_off_stuck_p: int = 0
    lead_off_stuck_n: int = 0
    mains_uv: float = 0.0
    gpio_stuck_high: int = 0
    gpio_stuck_low: int = 0
    id_override: int | None = None
    bad_power_up_one_in: int = 0
    dead: bool = False


def no_trouble() -> Trouble:
    """A sound chip."""
    return Trouble({}, {}, {}, {})
