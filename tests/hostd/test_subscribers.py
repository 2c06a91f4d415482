"""The subscribers printed in README.md work as they stand, against a running session on another port."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, Queue
from threading import Thread, Timer

import numpy as np
import pytest

from hostd import casefile
from hostd.endpoints import parse_bus
from tests.support.keys import made
from tests.support.session import DEADLINE_S, ROOT, LiveHost

NODE = ROOT / "tests" / "node"
README = ROOT / "README.md"


def block(heading: str, language: str) -> str:
    """The fenced code behind the heading that contains `heading`."""
    if not README.exists():
        pytest.skip("no README.md here")
    behind = re.split(rf"^#+ .*{heading}.*$", README.read_text(encoding="utf-8"), maxsplit=1, flags=re.M)
    assert len(behind) == 2, f"README.md has no heading with {heading!r}"
    section = re.split(r"^#+ ", behind[1], maxsplit=1, flags=re.M)[0]
    found = re.search(rf"^```{language}\n(.*?)^```$", section, flags=re.M | re.S)
    assert found, f"no ```{language} block under {heading!r}"
    return found[1]


@pytest.fixture(scope="module")
def live_host() -> Iterator[LiveHost]:
    with LiveHost(speed=8.0) as host:
        yield host


def prints_averages(command: list[str], code: str | None, cwd: Path) -> None:
    """`command` (fed with `code`) prints averages whose amplitude is that of a response in noise."""
    process = subprocess.Popen(
        command, cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    lines: Queue[str] = Queue()
    stdout = process.stdout
    Thread(target=lambda: [lines.put(line) for line in stdout], daemon=True).start()
    try:
        if code is not None:
            process.stdin.write(code)
        process.stdin.close()
        seen: dict[str, int] = {}
        while set(seen) != {"average.left_median", "average.right_median"} or max(seen.values()) < 20:
            line = lines.get(timeout=1.0 if process.poll() is not None else DEADLINE_S)
            found = re.match(r"(average\.\w+)\D* (\d+) sweeps", line)
            assert found, line
            test, n_sweeps = found[1], int(found[2])
            assert n_sweeps >= seen.get(test, 0), line
            seen[test] = n_sweeps
            numbers = [float(x) for x in re.findall(r"(?<![\w.])\d+\.\d+(?![\w.])", line)]
            if n_sweeps >= 16:
                noise_uv, size_uv = numbers
                assert 0.05 < noise_uv < 5.0 and 1.0 < size_uv < 40.0, line
                assert size_uv > noise_uv
    except Empty:
        process.kill()
        pytest.fail(f"nothing came; on stderr: {process.stderr.read()}")
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def test_the_subscriber_in_python_works_as_printed(live_host: LiveHost, tmp_path: Path) -> None:
    script = tmp_path / "subscriber.py"
    script.write_text(block("subscriber in Python", "python"), encoding="utf-8")
    prints_averages([sys.executable, str(script), parse_bus(live_host.bus).traces], None, tmp_path)


def test_the_client_with_a_key_works_as_printed(tmp_path: Path) -> None:
    script = tmp_path / "keyed.py"
    script.write_text(block("Keys", "python"), encoding="utf-8")
    made(tmp_path / "keys")
    with LiveHost(speed=8.0, keys=tmp_path / "keys") as host:
        command = [
            sys.executable,
            str(script),
            parse_bus(host.bus).traces,
            str(tmp_path / "keys" / "olli.secret"),
        ]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        silent = Timer(DEADLINE_S, process.kill)
        silent.start()
        try:
            line = process.stdout.readline()
        finally:
            silent.cancel()
            process.kill()
            process.wait()
            process.stdout.close()
    assert re.fullmatch(r"average\.\w+ \d+ sweeps\n", line)


EMG = """
name = "Muscles"
[acquisition]
channels = ["TAL1", "TAL2"]
[test.emg]
modality = "free_emg"
"""


def test_the_player_of_the_muscles_works_as_printed(tmp_path: Path) -> None:
    script = tmp_path / "player.py"
    script.write_text(block("Listening to the muscles", "python"), encoding="utf-8")
    with LiveHost(casefile.parse(EMG, "emg.toml"), speed=8.0) as host:
        command = [sys.executable, str(script), parse_bus(host.bus).traces]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert process.stdout is not None
        silent = Timer(DEADLINE_S, process.kill)
        silent.start()
        try:
            samples = np.frombuffer(process.stdout.read(2 * 4000), "<i2")
        finally:
            silent.cancel()
            process.kill()
            process.wait()
            process.stdout.close()
    assert len(samples) == 4000 and 10 < np.abs(samples.astype(int)).max() < 32_767


def node() -> str:
    """The node program; skips where it or the modules are missing."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("no node here")
    if not (NODE / "node_modules").is_dir():
        pytest.skip("no tests/node/node_modules: npm install --prefix tests/node --no-package-lock")
    return program


def test_the_subscriber_in_node_works_as_printed(live_host: LiveHost) -> None:
    program = node()
    code = block("subscriber in Node", "javascript")
    traces = parse_bus(live_host.bus).traces
    prints_averages([program, "--input-type=module", "-", traces], code, NODE)


def test_the_subscriber_in_node_stands_in_the_tests_too(live_host: LiveHost) -> None:
    program = node()
    assert len((NODE / "subscriber.mjs").read_text().splitlines()) <= 12
    prints_averages([program, "subscriber.mjs", parse_bus(live_host.bus).traces], None, NODE)


def test_the_readme_prints_what_stands_in_the_tests() -> None:
    assert block("subscriber in Node", "javascript") == (NODE / "subscriber.mjs").read_text()
