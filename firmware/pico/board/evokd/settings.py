"""Register bytes for recording, from the generated tables. Values in, values out; no wire is touched."""

from evokd import registers as table
from evokd.faults import Refused


def part_of(id_byte):
    """The name of the part whose ID register reads so, None for no part."""
    for name, part in table.PARTS.items():
        mask, bits = part["id"]
        if id_byte & mask == bits:
            return name
    return None


def recording(name, rate_hz, gain, in_use):
    """(address, byte) in writing order for a part that records `in_use` channels. Refused: no such rate or
    gain."""
    part = table.PARTS[name]
    if rate_hz not in part["config1"]:
        known = ", ".join([str(rate) for rate in sorted(part["config1"])])
        raise Refused("config", "the %s has no rate of %g Hz: use one of %s" % (name, rate_hz, known))
    if gain not in part["channel"]:
        known = ", ".join([str(each) for each in sorted(part["channel"])])
        raise Refused("config", "the %s has no gain of %d: use one of %s" % (name, gain, known))
    wanted = []
    for address, byte in part["fixed"]:
        channel = address - table.CH1SET
        if address == table.CONFIG1:
            byte = part["config1"][rate_hz]
        elif 0 <= channel < part["channels"]:
            byte = part["channel" if channel < in_use else "unused"][gain]
        elif address == table.BIAS_SENSP:
            byte = (1 << in_use) - 1
        wanted.append((address, byte))
    return wanted


def names(name):
    """What the registers of a part are called, by address."""
    return table.NAMES_24 if table.PARTS[name]["registers"] == 24 else table.NAMES_26
