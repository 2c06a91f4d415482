"""What is fuzzed with files: every command of evokd with every file that it reads, and what it must do.

A repair keeps every byte of a record that was good, leaves readable what was readable, and finds nothing to
do the second time; an export that fails leaves nothing behind.
"""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from firmware.compose import read_scenario
from firmware.wiring import read_wiring
from hostd import casefile
from hostd.box_commands import case_of
from hostd.daemon import configure_message, fitted
from hostd.errors import UsageError
from hostd.fixture.play import Player
from hostd.keys import KeyRing, client_secret
from hostd.options import Parser, case_options
from hostd.pipeline import Pipeline
from hostd.replay import Replay
from hostd.score.bedside import describe
from hw.model.patient import Patient
from hw.recording import read_header
from tests.fuzz import good, mutate
from tests.fuzz.oracle import WrongError, evokd
from tests.support.ports import free_bus

Make = Callable[[random.Random, bytes], bytes]


@dataclass(frozen=True, slots=True)
class Target:
    """`act` gets a folder of its own in which the file `name` holds the input, with `base` besides. `kind`:
    the folder of the corpus."""

    title: str
    kind: str
    name: str
    seeds: tuple[bytes, ...]
    make: Make
    act: Callable[[Path], str]
    base: Path | None = None
    mode: int = 0o644


def targets(files: good.Good, scratch: Path) -> list[Target]:
    """Every command with every file that it reads."""
    case = files.closed
    toml = [casefile.procedure(name).text.encode() for name in casefile.procedures()]
    scenarios = [
        p.read_bytes() for p in sorted(Path(casefile.__file__).parent.glob("procedures/scenarios/*"))
    ]
    database = (case / "case.sqlite").read_bytes()
    raw, further = ((files.killed / name).read_bytes() for name in ("raw.bdf", "raw-0002.bdf"))

    def rows(r: random.Random, data: bytes) -> bytes:
        return mutate.sqlite(r, data, scratch / "scratch.sqlite")

    found = [
        Target(
            "check",
            "case",
            "case.toml",
            (good.CASE.encode(), *toml),
            mutate.text,
            lambda d: evokd("check", d / "case.toml"),
        ),
        Target("run", "case", "case.toml", (good.CASE.encode(), *toml), mutate.text, _run),
        Target("scenario", "scenario", "s.toml", (good.SCENARIO, *scenarios), mutate.text, _scenario),
        Target(
            "wiring",
            "wiring",
            "w.toml",
            (good.WIRING,),
            mutate.text,
            lambda d: str(read_wiring(d / "w.toml"))[:20],
        ),
        Target("fixture", "fixture", "f.jsonl", (good.fixture(),), mutate.json_lines, _fixture),
        Target(
            "key", "key", "ann.key", ((files.keys / "ann.key").read_bytes(),), mutate.text, _keys, files.keys
        ),
        Target(
            "secret",
            "secret",
            "ann.secret",
            ((files.keys / "ann.secret").read_bytes(),),
            mutate.text,
            _secret,
            files.keys,
            0o600,
        ),
        Target(
            "identity",
            "identity",
            "patient.toml",
            ((case / "patient.toml").read_bytes(),),
            mutate.text,
            _identity,
            case,
            0o600,
        ),
    ]
    for name, data in (("raw.bdf", raw), ("raw-0002.bdf", further)):
        said = name.partition(".")[0]
        found += [
            Target(
                f"repair-{said}", "bdf", name, (data,), mutate.bdf, _Repair(files.killed, name), files.killed
            ),
            Target(f"replay-{said}", "bdf", name, (data,), mutate.bdf, _replay, files.killed),
            Target(
                f"audit-{said}", "bdf", name, (data,), mutate.bdf, lambda d: evokd("audit", d), files.killed
            ),
        ]
    crc = (files.killed / "raw.crc").read_bytes()
    found += [
        Target(
            "repair-crc",
            "crc",
            "raw.crc",
            (crc,),
            mutate.bytes_,
            _Repair(files.killed, "raw.crc"),
            files.killed,
        ),
        Target(
            "repair-sqlite",
            "sqlite",
            "case.sqlite",
            (database,),
            rows,
            _Repair(files.killed, "case.sqlite"),
            files.killed,
        ),
        Target("replay-sqlite", "sqlite", "case.sqlite", (database,), rows, _replay, case),
        Target(
            "verify-sqlite",
            "sqlite",
            "case.sqlite",
            (database,),
            rows,
            lambda d: evokd("replay", d, "--verify"),
            case,
        ),
        Target("audit-sqlite", "sqlite", "case.sqlite", (database,), rows, lambda d: evokd("audit", d), case),
        Target("replay-toml", "case", "case.toml", (good.CASE.encode(),), mutate.text, _replay, case),
    ]
    for form in ("csv", "html", "edf", "bdf", "bids", "pdf"):
        found.append(
            Target(f"export-{form}-sqlite", "sqlite", "case.sqlite", (database,), rows, _export(form), case)
        )
    found.append(Target("export-bdf-raw", "bdf", "raw.bdf", (raw,), mutate.bdf, _export("bdf"), files.killed))
    found.append(
        Target(
            "export-html-toml", "case", "case.toml", (good.CASE.encode(),), mutate.text, _export("html"), case
        )
    )
    return found


def _run(folder: Path) -> str:
    """As `evokd run` and its two processes take a case up, to where the first sample would come."""
    parser = Parser()
    case_options(parser)
    case, where = case_of(parser.parse_args([str(folder / "case.toml")]))
    configure_message(case)
    description = describe(case)
    case = fitted(case, description, where)
    try:
        Pipeline(case, description)
    except ValueError as error:  # as the daemon does
        raise UsageError(f"{where}: {error}") from None
    return f"runs {len(case.tests)}"


def _scenario(folder: Path) -> str:
    """Read, and lived through for some moments by a patient."""
    scenario = read_scenario(folder / "s.toml")
    patient = Patient(("CP3", "CP4", "ADMR1"), 1000.0, 1, scenario=scenario)
    for k in range(3):
        patient.stimulate(100.0 * k + 20.0, "left median", 20.0, 200.0)
        patient.read_block(100 * k, 100)
    return "lived"


def _fixture(folder: Path) -> str:
    player = Player(folder / "f.jsonl", free_bus(), None)
    player.play(threading.Event())
    return "played"


def _keys(folder: Path) -> str:
    said = evokd("keys", "list", "--keys", folder)
    ring = KeyRing(folder)
    return f"{said[:40]} {len(ring.faults)}"


def _secret(folder: Path) -> str:
    return client_secret(folder, "ann").role


def _identity(folder: Path) -> str:
    said = evokd("export", folder, "--to", "html", "--identity", "--out", folder.parent / "out" / "x.html")
    return said + evokd("identity", folder, "note=seen")


def _replay(folder: Path) -> str:
    said = evokd("replay", folder, "--out", folder.parent / "out")
    return said if said[0] != "0" else "0 replayed"


def _export(form: str) -> Callable[[Path], str]:
    def act(folder: Path) -> str:
        said = evokd("export", folder, "--to", form, "--out", folder.parent / "out" / "x")
        left = list((folder.parent / "out").rglob("*")) if (folder.parent / "out").exists() else []
        if said[0] != "0" and left:
            raise WrongError(f"an export that failed left {[p.name for p in left][:3]}")
        return said

    return act


class _Repair:
    """`evokd repair`, and that nothing good is lost by it."""

    def __init__(self, whole: Path, damaged: str) -> None:
        self._damaged = damaged
        self._records: dict[str, list[tuple[int, bytes]]] = {}
        for path in sorted(whole.glob("raw*.bdf")):
            data = path.read_bytes()
            with path.open("rb") as file:
                header = read_header(file)
            at = range(header.header_bytes, len(data) - header.record_bytes + 1, header.record_bytes)
            self._records[path.name] = [(k, data[k : k + header.record_bytes]) for k in at]

    def __call__(self, folder: Path) -> str:
        before = {p.name: p.read_bytes() for p in folder.iterdir()}
        samples = _samples(folder)
        said = evokd("repair", folder)
        after = {p.name: p.read_bytes() for p in folder.iterdir()}
        for name, records in self._records.items():
            for number, (at, record) in enumerate(records):
                was = before[name][at : at + len(record)]
                if was == record and after.get(name, b"")[at : at + len(record)] != record:
                    raise WrongError(f"{name}: record {number}, which was good, is gone; it said {said}")
        if changed := [n for n in before if not n.startswith("raw") and after.get(n) != before[n]]:
            raise WrongError(f"a repair changed {changed}")
        if samples is not None and _samples(folder) is None:
            raise WrongError(f"it could be read before and cannot after; it said {said}")
        again = evokd("repair", folder)
        if {p.name: p.read_bytes() for p in folder.iterdir()} != after:
            raise WrongError(f"repaired twice it changed again: {said}, then {again}")
        return said


def _samples(folder: Path) -> int | None:
    """How many samples a replay finds; None when it cannot be opened."""
    try:
        with Replay(folder) as replay:
            return sum(len(block.counts) for block in replay._blocks())
    except (OSError, ValueError):
        return None
