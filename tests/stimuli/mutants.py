"""That the campaign can fail: the sequencer broken in one place at a time, in a copy, and the campaign on it.

`python -m tests.stimuli.mutants [NAME ...]`: some minutes; nothing is compiled, so few sequences must do.
Exit 1 when the unbroken one fails, or a broken one does not, or can no longer be made.
"""

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SIZES = ("--states", "0", "--sequences", "200", "--faults", "150", "--pulses", "210")
LOOP = "firmware/loop/"


@dataclass(frozen=True, slots=True)
class Mutant:
    """`old` in `file` becomes `new`."""

    name: str
    file: str
    old: str
    new: str


UNBROKEN = Mutant("unbroken", "pulses.py", "def due(", "def due(")
MUTANTS = (
    Mutant(
        "grid off by one",
        "pulses.py",
        "return index + (phase - index) % period",
        "return index + (phase + 1 - index) % period",
    ),
    Mutant("guard ignored", "arbiter.py", "max(plan[GUARD], st.scalars[SPACING])", "st.scalars[SPACING]"),
    Mutant(
        "spacing ignored", "arbiter.py", "if index < s[LAST_FIRED] + s[SPACING]:", "if index < s[LAST_FIRED]:"
    ),
    Mutant("arm ignored", "commands.py", "if armed(st, plan[PLAN]) < 0:", "if armed(st, plan[PLAN]) < -1:"),
    Mutant(
        "arm that does not end",
        "pulses.py",
        " and st.arms[k, ARMED_UNTIL] >= st.scalars[INDEX]:\n            return k",
        ":\n            return k",
    ),
    Mutant(
        "proof dropped",
        "pulses.py",
        "            tell_pulse(st, line, -1)\n            st.lines",
        "            st.lines",
    ),
    Mutant(
        "stuck not found",
        "pulses.py",
        "elif s[SEEN] >> line & 1 and index > row[UNTIL] + RETURN_WITHIN:",
        "elif s[SEEN] >> line & 1 and index > row[UNTIL] + (1 << 40):",
    ),
    Mutant(
        "stuck found one late",
        "pulses.py",
        "elif s[SEEN] >> line & 1 and index > row[UNTIL] + RETURN_WITHIN:",
        "elif s[SEEN] >> line & 1 and index > row[UNTIL] + RETURN_WITHIN + 1:",
    ),
    Mutant(
        "repeated called unexpected",
        "pulses.py",
        "code = REPEATED if within else UNEXPECTED",
        "code = UNEXPECTED",
    ),
    Mutant(
        "missing not found",
        "pulses.py",
        "if row[AWAITED] >= 0 and index > row[AWAITED] + RETURN_WITHIN:",
        "if row[AWAITED] >= 0 and index > row[AWAITED] + (1 << 40):",
    ),
    Mutant("lock ignored", "arbiter.py", "    if s[LOCKS]:\n        return BY_LOCK\n", ""),
    Mutant(
        "dose ignored",
        "arbiter.py",
        "if dose.excess(st, plan, line, total) != dose.NOTHING:",
        "if dose.excess(st, plan, line, total) < -1:",
    ),
    Mutant(
        "pulse held one longer",
        "pulses.py",
        "index + plan[HOLD], plan[PLAN]",
        "index + plan[HOLD] + 1, plan[PLAN]",
    ),
    Mutant(
        "loss tells nothing",
        "pulses.py",
        "row[DUE] - row[PERIOD], BY_LOSS, 0, n)",
        "row[DUE] - row[PERIOD], BY_LOSS, 0, n - 1)",
    ),
    Mutant(
        "line stays high when stopped",
        "pulses.py",
        "if plan in (ALL_PLANS, st.lines[line, RAISED_BY]):",
        "if plan == st.lines[line, RAISED_BY]:",
    ),
    Mutant(
        "alternate forgotten",
        "pulses.py",
        "if plan[ALTERNATE] > 0 and number % 2 == 0:",
        "if plan[ALTERNATE] > 0 and number % 4 == 0:",
    ),
    Mutant("rest ignored", "arbiter.py", "if rests(st, plan, index):", "if False:"),
    Mutant(
        "second cause told",
        "pulses.py",
        "    if not s[FAULTED]:\n        s[FAULTED] = 1\n        tell",
        "    if True:\n        s[FAULTED] = 1\n        tell",
    ),
)


def broken(mutant: Mutant, folder: Path) -> str:
    """Copy what is needed to `folder`, broken; "" or why that cannot be."""
    ignore = shutil.ignore_patterns("__pycache__")
    for part in ("hw", "firmware", "hostd", "tests/stimuli", "tests/support"):
        shutil.copytree(ROOT / part, folder / part, ignore=ignore)
    path = folder / LOOP / mutant.file
    text = path.read_text()
    if text.count(mutant.old) != 1:
        return f"{text.count(mutant.old)} places for {mutant.name} in {path.name}"
    path.write_text(text.replace(mutant.old, mutant.new))
    return ""


def found(mutant: Mutant) -> str:
    """What the campaign said of a mutant; "" when it did not notice."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if why := broken(mutant, folder):
            return f"cannot be made: {why}"
        ran = subprocess.run(
            [sys.executable, "-m", "tests.stimuli", *SIZES],
            cwd=folder,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": name, "NUMBA_DISABLE_JIT": "1"},
            capture_output=True,
            text=True,
        )
    said = [line for line in ran.stdout.splitlines() if ": seed" in line or "SPS, lag" in line]
    if ran.returncode == 0:
        return ""
    return said[0] if said else f"exit {ran.returncode}: {(ran.stderr or ran.stdout).strip()[-200:]}"


def main() -> int:
    wanted, missed = sys.argv[1:], 0
    if said := found(UNBROKEN):
        print(f"the sequencer fails as it is, so that nothing can be said of mutants: {said}")
        return 1
    for mutant in MUTANTS:
        if not wanted or mutant.name in wanted:
            said = found(mutant)
            missed += not said or said.startswith("cannot")
            print(f"{mutant.name}: {said or 'NOT FOUND'}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
