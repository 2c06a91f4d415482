"""Files of every kind, damaged, through every command that reads them (`tests.fuzz.targets`).

No traceback, no hang, no memory without bound, one plain line with an exit code, nothing written outside of
where it belongs. An input that brings out something new is kept and damaged further: the code under test says
by its messages where it has been, and for that no tracer is needed.
"""

import hashlib
import itertools
import random
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz import good, mutate
from tests.fuzz.oracle import WrongError, guarded
from tests.fuzz.targets import Target, targets

CORPUS = Path(__file__).with_name("corpus")
KEPT, MOST_GROWN, MOST_BYTES = 400, 12, 1200


@dataclass(slots=True)
class Found:
    """What came of one target. `wrong`: an input for each thing that must not be; `news`: inputs with an
    outcome of their own."""

    inputs: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: dict[str, bytes] = field(default_factory=dict)
    news: list[bytes] = field(default_factory=list)


class Fuzz:
    """Runs targets from a seed, with the good files of `good`."""

    def __init__(self, files: good.Good, seed: int) -> None:
        self._seed = seed
        self._folder = tempfile.TemporaryDirectory(prefix="evokd-fuzz-")
        self._root = Path(self._folder.name)
        self.targets = {t.title: t for t in targets(files, self._root)}

    def close(self) -> None:
        """Leave nothing."""
        self._folder.cleanup()

    def run(self, title: str, inputs: int, known_too: bool = True) -> Found:
        """So many inputs through one target: its corpus (if `known_too`), then damage to good ones."""
        target, found = self.targets[title], Found()
        r = random.Random(f"{self._seed} {title}")
        pool = list(target.seeds)
        known = [self._known(target, path) for path in corpus(target.kind) if known_too]
        for data in itertools.chain(known, iter(lambda: target.make(r, r.choice(pool)), None)):
            if found.inputs >= inputs + len(known):
                return found
            outcome = self.one(target, data, found)
            if outcome is not None and found.outcomes[outcome] == 1 and len(pool) < KEPT:
                pool.append(data)
                found.news.append(data)
        return found

    def grow(self, target: Target, found: Found) -> None:
        """Keep short texts that have an outcome of their own, as far as there is room in the corpus."""
        texts = [data for data in found.news if len(data) <= MOST_BYTES and data.isascii()]
        for data in texts[: max(0, MOST_GROWN - len(corpus(target.kind)))]:
            keep(target.kind, "other", data)

    def _known(self, target: Target, path: Path) -> bytes:
        """An input of the corpus: itself, or what it makes of a good one."""
        good_one = target.seeds[0]
        if path.suffix == ".sql":
            return mutate.ordered(good_one, path.read_text(), self._root / "scratch.sqlite")
        return mutate.fields(good_one, path.read_text()) if path.suffix == ".fields" else path.read_bytes()

    def one(self, target: Target, data: bytes, found: Found) -> str | None:
        """One input; its outcome, None when something was wrong."""
        found.inputs += 1
        place = self._root / "place"
        case = place / "case"
        if target.base is None:
            case.mkdir(parents=True)
        else:
            shutil.copytree(target.base, case)
        file = case / target.name
        file.write_bytes(data)
        file.chmod(target.mode)
        try:
            outcome = guarded(lambda: target.act(case))
            strange = [p.name for p in place.iterdir() if p.name not in ("case", "out")]
            if strange or sorted(p.name for p in self._root.iterdir()) != ["place"]:
                raise WrongError(f"files were written outside: {strange}")
        except WrongError as error:
            found.wrong.setdefault(str(error), data)
            return None
        finally:
            shutil.rmtree(place)
        found.outcomes[outcome] += 1
        return outcome


def corpus(kind: str) -> list[Path]:
    """What once broke something that reads this kind of file, or tells something else of it: the file itself,
    fields of a good one's header (`.fields`: offset and text in each line), orders to a database (`.sql`)."""
    return sorted((CORPUS / kind).glob("*")) if (CORPUS / kind).is_dir() else []


def keep(kind: str, what: str, data: bytes) -> Path:
    """Put an input into the corpus."""
    path = CORPUS / kind / f"{what}-{hashlib.sha256(data).hexdigest()[:8]}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path
