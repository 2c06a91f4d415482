"""The board's modules that are made from the box's own sources: link messages, registers, limits, arbiter.

One source for both interpreters: what the Pi's edge decides by, the coprocessor decides by. Pure: returns
texts, writes no file (`firmware.pico.image` puts them beside the modules that are written by hand).
"""

import ast
import contextlib
import dataclasses
import inspect
from collections.abc import Iterator
from typing import Any

from firmware import chip_faults
from firmware.front_end_setup import FrontEndSetup, recording_registers
from firmware.loop import arbiter, commands, dose, pulses, state, telling
from firmware.pico.translate import assigns, constants_of, functions, record, statements
from hw import board, chips, lead_off, limits, link, link_fields, link_messages
from hw.chips import CHIPS, ChipSpec, Family
from hw.frames import HEADER, STATUS_BYTES
from hw.registers import Address, Misc1, register_map

HEAD = "# Made from the box's sources by firmware/pico/generate.py; a change belongs there.\n"
FLOAT_TOLERANCE = 1e-6
"""On the board a float has 24 bits: what differs by less than this from a limit is within it there."""
_DOSE = {name: f"dose_{name}" for name in ("turn", "sum_with", "ceiling", "excess", "count")}
OURS = ("lower", "schedule", "ready", "window_of", "cut_train")
"""What the arbiter's functions ask of whoever drives the pulses; the board has its own (evokd/pulses.py)."""


def modules() -> dict[str, str]:
    """Text of each module by its name."""
    return {
        "messages": HEAD + _messages(),
        "registers": HEAD + _registers(),
        "limits": HEAD + _limits(),
        "arbiter": HEAD + _arbiter(),
        "telling": HEAD + _telling(),
    }


def _messages() -> str:
    """Every message as a class, and the table that both ends hash."""
    texts = [f"VERSION = {link.VERSION}\nTABLE = {link.TABLE}\nNOT_SEEN = {link.NOT_SEEN}\n"]
    texts.append(f"ALL_PLANS = {link.ALL_PLANS}\nLOCK_REASONS = {link.LOCK_REASONS!r}\n")
    texts.append(f"LEADS_HOST_SHARED, LEADS_HOST_OWN = {link.LEADS_HOST_SHARED}, {link.LEADS_HOST_OWN}\n")
    texts.append(f"LOCK_IMPEDANCE = {link.LOCK_IMPEDANCE}\nGAP_REASONS = {link_fields.GAP_REASONS!r}\n\n")
    for kind in link.KINDS:
        fields = [(f.name, _default(f)) for f in dataclasses.fields(kind)]
        texts.append(record(kind, fields))
    rows = (f"    {k.CODE}: ({k.__name__}, {link_fields.layout(k)!r}),\n" for k in link.KINDS)
    texts.append("KINDS = {\n" + "".join(rows) + "}\n")
    return "\n".join(texts)


def _default(field: "dataclasses.Field[Any]") -> str | None:
    if field.default is dataclasses.MISSING:
        return None
    return repr(field.default)


def _registers() -> str:
    """What each part has and what recording needs, as bytes; the words for a wrong answer."""
    parts = ",\n".join(f"    {name!r}: {_part(chip)!r}" for name, chip in CHIPS.items())
    figures: dict[str, Any] = {
        "OPCODES": {code.name: code.value for code in chips.Opcode},
        "HEADER": HEADER,
        "STATUS_BYTES": STATUS_BYTES,
        "POWER_UP_US": chips.wait_for_tclk_ns(chips.POWER_UP_TCLK) // 1000 + 1,
        "RESET_US": chips.wait_for_tclk_ns(chips.RESET_TCLK) // 1000 + 1,
        "DECODE_US": chips.wait_for_tclk_ns(chips.DECODE_TCLK) // 1000 + 1,
        "REFERENCE_US": chips.REFERENCE_START_NS // 1000,
        "REGISTER_HZ": chips.REGISTER_SCLK_HZ,
        "LIKELY_ID": register_map(chips.ADS1299)[Address.ID].reset,
        "CONFIG1": int(Address.CONFIG1),
        "CONFIG3": int(Address.CONFIG3),
        "CH1SET": int(Address.CH1SET),
        "BIAS_SENSP": int(Address.BIAS_SENSP),
        "EXCITATION": tuple(map(int, lead_off.EXCITATION)),
        "SETTLING": chips.SETTLING_CONVERSIONS,
        "SINC3_DELAY": board.SINC3_DELAY_SAMPLES,
        "LINES_PER_CHIP": board.LINES_PER_CHIP,
        "MOST_LINES": board.MOST_LINES,
    }
    for chip in (chips.ADS1299, chips.ADS1298):
        figures[f"NAMES_{chip.registers}"] = tuple(spec.name for spec in register_map(chip).values())
    named = "".join(f"{name} = {value!r}\n" for name, value in figures.items())
    words = {name: value for name, value in vars(chip_faults).items() if name.isupper()}
    texts = "".join(f"{name} = {value!r}\n" for name, value in words.items())
    may = functions(lead_off, ("refuse_current",), constants_of(lead_off), {})
    told = functions(chip_faults, ("complaint", "diagnose"), {}, {})
    told = told.replace("(got ^ expected).bit_count()", "bin(got ^ expected).count('1')")
    return f"{named}\nPARTS = {{\n{parts},\n}}\n\n{texts}\n\n{told}\n\n{may}"


def _part(chip: ChipSpec) -> dict[str, Any]:
    """One part in numbers. `fixed`: (address, byte) in writing order, for all channels in use."""
    specs = register_map(chip)
    fixed = _recording(chip, chip.rates_hz[0], chip.gains[0], chip.channels)
    return {
        "id": (chip.id_mask, chip.id_bits),
        "channels": chip.channels,
        "registers": chip.registers,
        "reset": bytes(specs[a].reset for a in range(chip.registers)),
        "writable": bytes(specs[a].writable for a in range(chip.registers)),
        "live": bytes(specs[a].live for a in range(chip.registers)),
        "fixed": tuple(fixed.items()),
        "config1": {
            round(rate): _recording(chip, rate, chip.gains[0], 1)[Address.CONFIG1] for rate in chip.rates_hz
        },
        "channel": {g: _recording(chip, chip.rates_hz[0], g, 1)[Address.CH1SET] for g in chip.gains},
        "unused": {g: _recording(chip, chip.rates_hz[0], g, 0)[Address.CH1SET] for g in chip.gains},
        "tones": {round(rate): _tones(chip, rate) for rate in chip.rates_hz},
        "lead_off": _lead_off(chip),
        "shared_negative": chip.family is Family.ADS1299 and Misc1.decode(fixed[Address.MISC1]).srb1,
        "vref_uv": round(chip.vref_v[0] * 1e6),
        "settling_us": {
            round(rate): chips.tclk_to_ns(chip.settling_tclk(rate)) // 1000 + 1 for rate in chip.rates_hz
        },
    }


def _tones(chip: ChipSpec, rate_hz: float) -> dict[float, int]:
    """LOFF.FLEAD_OFF by frequency; of the part's usual one by 0."""
    known = {0.0, rate_hz / 4, lead_off.USUAL_HZ, lead_off.SLOW_HZ}
    codes: dict[float, int] = {}
    for frequency_hz in sorted(known):
        with contextlib.suppress(ValueError):
            codes[frequency_hz] = lead_off.tone(chip, rate_hz, frequency_hz).code
    return codes


def _lead_off(chip: ChipSpec) -> dict[int, dict[int, int]]:
    """LOFF by current and FLEAD_OFF."""
    codes = sorted({code for rate in chip.rates_hz for code in _tones(chip, rate).values()})
    return {
        na: {code: lead_off.excitation_registers(chip, na, code, 0, 0)[Address.LOFF] for code in codes}
        for na in lead_off.CURRENTS_NA[chip.family]
    }


def _recording(chip: ChipSpec, rate_hz: float, gain: int, in_use: int) -> dict[int, int]:
    """What the Pi's driver writes, as plain numbers in its order."""
    setup = FrontEndSetup(rate_hz, gain)
    written = recording_registers(chip, setup, (gain,) * chip.channels, in_use, False)
    return {int(address): int(byte) for address, byte in written.items()}


def _limits() -> str:
    """The one table of stimulus limits and what is checked of one plan."""
    kinds = [(f.name, None) for f in dataclasses.fields(limits.Ceiling)]
    figures = constants_of(limits) | {"TOLERANCE": FLOAT_TOLERANCE}
    names = ("tightened", "figures")
    kept = [n for n in _function_names(limits) if n not in names]
    text = functions(limits, kept, figures, {})
    table = statements(limits, assigns("CEILINGS", "KINDS"), figures, {})
    ours = f"FIGURES = {limits.FIGURES!r}\n_AT_LEAST = ('interval_ms', 'rest_s')\n"
    times = "".join(f"{name} = {value!r}\n" for name, value in figures.items())
    return f"import math\n\n\n{record(limits.Ceiling, kinds)}\n{times}{ours}{table}\n\n{text}"


def _arbiter() -> str:
    """Doses, commands and the arbiter of the loop, over lists."""
    known = constants_of(limits, link_messages, state, dose, pulses, commands, arbiter)
    renames = {f"dose.{name}": board_name for name, board_name in _DOSE.items()}
    asked = f"{' = '.join(OURS)} = None\n"
    rates = f"MOST_RATE_MHZ = {commands.MOST_RATE_MHZ}\n"
    dosed = functions(dose, _DOSE, known, renames | _DOSE)
    steps = ("tell", "due", "disarm", "end", "stop", "hush", "line_of", "arm", "armed", "fail")
    chosen = ("span", "rests", "let_rest", "blocked", "reserved", "choose", "leave_out", "too_much")
    obeyed = ("crowd_mhz", "dose_line", "start", "refuse", "lock", "obey")
    parts = (
        functions(pulses, steps, known, renames),
        functions(arbiter, chosen, known, renames),
        functions(commands, obeyed, known, renames),
    )
    ceilings = tuple(state.ceiling_row(c) for c in limits.CEILINGS)
    rows = functions(state, ("ceiling_row",), known, renames)
    numbers = "".join(f"{name} = {value!r}\n" for name, value in _state_numbers())
    return "\n".join(
        ("import math", numbers, rates, f"CEILING_ROWS = {ceilings!r}", asked, dosed, *parts, rows)
    )


def _state_numbers() -> Iterator[tuple[str, int | float]]:
    """The layout of the loop's memory, for the modules that are written by hand."""
    for name, value in vars(state).items():
        if name.isupper() and isinstance(value, int | float):
            yield name, value


def _telling() -> str:
    """What the arbiter has to say, in words."""
    known = constants_of(limits, link_messages, state)
    texts = ("refusal_text", "locks_text", "dose_text", "unfired_text", "fault_text", "_message", "events")
    tables = statements(telling, assigns("FAULT_CODES", "_DOSES"), known, {})
    told = functions(telling, texts, known, {"limits.KINDS": "KINDS"})
    imports = "from evokd.limits import KINDS\n"
    imports += "from evokd.messages import LOCK_REASONS, Fault, Reply, Stimulus, Unfired\n"
    return f"{imports}\n{tables}\n\n{told}"


def _function_names(module: Any) -> list[str]:
    tree = ast.parse(inspect.getsource(module))
    return [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]


__all__ = ["FLOAT_TOLERANCE", "OURS", "modules"]
