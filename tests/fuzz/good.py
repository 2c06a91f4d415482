"""The good files that fuzzing begins with: a case of some seconds in segments, killed and closed; others."""

import shutil
import tempfile
from pathlib import Path

from hostd import casefile, keys, recorder
from hostd.export import identity
from hostd.fixture.lines import encode
from hostd.wire import Message
from hw.model.scenario import NO_CHANGE
from tests.soak.box import Box
from tests.soak.edge import FastEdge

SECONDS = 4
CASE = """name = "Fuzzed"

[acquisition]
rate_hz = 1000
reference = "Fz"
channels = ["CP3", "CP4"]

[test.left_median]
modality = "median_ssep"
side = "left"
line = 1
rate_hz = 9.7
derivations = ["CP4-CP3"]
sweeps = 16
current_ma = 20
"""
SCENARIO = b"""[[change]]
at_s = 0.5
site = "left median"
response = "cortical"
amplitude = 0.5
ramp_s = 2

[[noise]]
at_s = 0
emg = 0.3

[[lesion]]
at_s = 180
ramp_s = 20
place = "cord T8"
severity = 0.95

[[electrosurgery]]
at_s = 1
for_s = 2
mode = "coag"

[[electrode]]
at_s = 3
name = "CP3"
condition = "loose"

[[stimulator]]
at_s = 2
condition = "loss"
lost = 0.4
line = 1
"""
WIRING = b"""spi = ["/dev/spidev0.0"]
outputs = "gpiod"
priority = 50
"""


def closed(data: Path) -> Path:
    """A case closed well, in two segments of `raw.bdf`."""
    case = casefile.parse(CASE, "case.toml")
    segment_s, recorder.Recorder.__init__.__defaults__ = recorder.SEGMENT_S, _short()
    try:
        with Box(case, FastEdge(case, 1, NO_CHANGE, 200), data) as box:
            while box.taken < SECONDS * case.rate_hz:
                box.advance()
    finally:
        recorder.Recorder.__init__.__defaults__ = _short(segment_s)
    (folder,) = data.iterdir()
    identity.write(folder, {"name": "Ann Other", "born": "1980-02-29", "sex": "F"})
    return folder


def _short(segment_s: float = 2.0) -> tuple[object, ...]:
    defaults = recorder.Recorder.__init__.__defaults__ or ()
    return tuple(segment_s if value in (recorder.SEGMENT_S, 2.0) else value for value in defaults)


def killed(of: Path, to: Path) -> Path:
    """The same case as a host leaves it that was killed: the last count is -1, the last record is torn."""
    shutil.copytree(of, to)
    last = max(to.glob("raw*.bdf"), key=lambda path: len(path.name) * 1000 + ord(path.stem[-1]))
    data = bytearray(last.read_bytes()[:-100])
    data[236:244] = b"-1      "
    last.write_bytes(data)
    return to


def key_folder(to: Path) -> Path:
    """The box's keys and two clients'."""
    keys.new_server(to)
    keys.new_client(to, "ann", "technologist")
    keys.new_client(to, "board", "observer")
    return to


def fixture() -> bytes:
    """Some lines of a file of messages."""
    head = {"v": 1, "index": 10, "t_ns": 1_000, "utc_ns": 2_000, "boot": "b0", "seq": 1, "case": "c"}
    array = {"dtype": "<f4", "shape": [2, 2], "part": 0}
    said = [
        Message("status", head | {"state": "running", "samples": 10, "clients": {}}, []),
        Message(
            "average.left_median", head | {"index": 20, "mean_uv": array, "derivations": ["a"]}, [bytes(16)]
        ),
        Message("event", head | {"index": 30, "text": "clip on", "kind": "note", "author": "ann"}, []),
    ]
    about = {"toml": CASE, "tests": {"left_median": {"site": "left median"}}}
    return "".join(encode(m, k / 10, about if k == 0 else None) for k, m in enumerate(said)).encode()


class Good:
    """All of it in a folder that goes with it."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="evokd-fuzz-")
        root = Path(self._folder.name)
        (root / "data").mkdir()
        self.closed = closed(root / "data")
        self.killed = killed(self.closed, root / "killed")
        self.keys = key_folder(root / "keys")

    def close(self) -> None:
        """Remove it."""
        self._folder.cleanup()
