"""The rules by which EDFbrowser accepts a BDF+ file, checked byte by byte; nothing of the package is used.

Sources: the EDF+ specification and its BDF+ variant (teuniz.net), and what EDFbrowser's checker refuses.
"""

import re
from pathlib import Path

MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
TAL = re.compile(rb"([+-]\d+(?:\.\d+)?)(?:\x15\d+(?:\.\d+)?)?\x14((?:[^\x00\x14]*\x14)+)")
WIDTHS = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)


def check(path: Path) -> int:
    """How many records a file has that keeps every rule; AssertionError names the rule that it breaks."""
    whole = path.read_bytes()
    fixed = [whole[a:b] for a, b in ((0, 8), (8, 88), (88, 168), (168, 176), (176, 184), (184, 192))]
    fixed += [whole[a:b] for a, b in ((192, 236), (236, 244), (244, 252), (252, 256))]
    version, patient, recording, date, time, length, reserved, count, duration, n_signals = fixed
    assert version == b"\xffBIOSEMI", "version"
    assert all(32 <= c < 127 for c in whole[8 : int(length)]), "header in printable ASCII"
    assert re.fullmatch(rb"\d\d\.\d\d\.\d\d", date) and re.fullmatch(rb"\d\d\.\d\d\.\d\d", time), "start"
    day, month, year = (int(part) for part in date.split(b"."))
    said = f"Startdate {day:02d}-{MONTHS[month - 1]}-20{year:02d} "
    assert recording.decode().startswith(said), "start date in the recording field"
    assert len(patient.split()) >= 4, "four subfields of the patient field"
    assert reserved.strip() == b"BDF+C", "continuous BDF+"
    signals = int(n_signals)
    assert int(length) == 256 * (signals + 1), "header length"
    columns, at = [], 256
    for width in WIDTHS:
        columns.append([whole[at + k * width : at + (k + 1) * width].strip() for k in range(signals)])
        at += signals * width
    labels, transducers, units, low, high, digital_low, digital_high, filters, samples, _ = columns
    assert labels[-1] == b"BDF Annotations" and labels.count(b"BDF Annotations") == 1, "annotation signal"
    assert (float(low[-1]), float(high[-1])) == (-1.0, 1.0) and not transducers[-1] + units[-1] + filters[-1]
    assert all(float(a) != float(b) for a, b in zip(low, high, strict=True)), "physical limits"
    limits = [(int(a), int(b)) for a, b in zip(digital_low, digital_high, strict=True)]
    assert all(-(2**23) <= a < b < 2**23 for a, b in limits) and limits[-1] == (-(2**23), 2**23 - 1), "limits"
    record_bytes = 3 * sum(int(n) for n in samples)
    assert record_bytes <= 15 << 20, "15 MiB a record"
    n_records = int(count)
    assert n_records > 0, "number of records"
    assert len(whole) == int(length) + n_records * record_bytes, "file size matches the header"
    tal_bytes = 3 * int(samples[-1])
    before = None
    for k in range(n_records):
        end = int(length) + (k + 1) * record_bytes
        lists = whole[end - tal_bytes : end].rstrip(b"\0").split(b"\0")
        found = [TAL.fullmatch(one) for one in lists]
        assert all(found), f"annotations of record {k}"
        assert found[0] and found[0][2].startswith(b"\x14"), f"record {k} begins with its time"
        onset = float(found[0][1])
        assert before is not None or 0.0 <= onset < 1.0, "the first record begins within the start's second"
        assert before is None or abs(onset - before - float(duration)) < 2e-7, f"record {k} follows its last"
        before = onset
    return n_records
