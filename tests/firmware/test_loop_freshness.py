"""Compiled code never outlives the sources that went into it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from firmware.loop.freshness import STAMP, forget_stale


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A module with its compiled code beside it, as numba leaves it."""
    cache = tmp_path / "__pycache__"
    cache.mkdir()
    (tmp_path / "steps.py").write_text("LIMIT = 3\n")
    (tmp_path / "loop.py").write_text("from steps import LIMIT\n")
    forget_stale(tmp_path.glob("*.py"), [tmp_path])
    for name in ("loop.serve-1.py311.nbi", "loop.serve-1.py311.1.nbc", "loop.cpython-311.pyc"):
        (cache / name).write_text("code")
    return tmp_path


def cached(package: Path) -> list[str]:
    return sorted(f.name for f in (package / "__pycache__").iterdir() if f.name != STAMP)


def test_code_of_the_same_sources_is_kept(package: Path) -> None:
    assert not forget_stale(package.glob("*.py"), [package])
    assert len(cached(package)) == 3


def test_a_change_in_another_file_forgets_all_of_it_and_nothing_else(package: Path) -> None:
    (package / "steps.py").write_text("LIMIT = 4\n")
    assert forget_stale(package.glob("*.py"), [package])
    assert cached(package) == ["loop.cpython-311.pyc"]
    assert not forget_stale(package.glob("*.py"), [package])


def test_other_folders_that_compile_the_same_steps_are_forgotten_too(package: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "__pycache__").mkdir(parents=True)
    (other / "__pycache__" / "watch.run-1.nbc").write_text("code")
    (package / "steps.py").write_text("LIMIT = 4\n")
    forget_stale(package.glob("*.py"), [package, other])
    assert cached(other) == []


def test_a_place_that_cannot_be_written_is_left_alone(package: Path) -> None:
    assert not forget_stale(package.glob("*.py"), [Path("/proc/self")])


def test_a_changed_constant_of_another_file_is_in_the_loop_of_the_next_start(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.mkdir()
    root = Path(__file__).parents[2]
    (loop / "freshness.py").write_text((root / "firmware/loop/freshness.py").read_text())
    (loop / "__init__.py").write_text(
        "from pathlib import Path\nfrom loop.freshness import forget_stale\n"
        "_HERE = Path(__file__).parent\nforget_stale(_HERE.glob('*.py'), [_HERE])\n"
    )
    (loop / "serve.py").write_text(
        "from numba import int64, njit\nfrom loop.limits import LIMIT\n\n"
        "@njit(int64(), cache=True)\ndef limit():\n    return LIMIT\n"
    )

    def limit(value: int) -> str:
        (loop / "limits.py").write_text(f"LIMIT = {value}\n")
        run = [sys.executable, "-c", "from loop.serve import limit; print(limit())"]
        env = {**os.environ, "PYTHONPATH": str(tmp_path)}
        return subprocess.run(run, env=env, capture_output=True, text=True, check=True).stdout.strip()

    # Of another length, since Python's own bytecode is told from a change of the same second by nothing else.
    assert [limit(3), limit(3), limit(40)] == ["3", "3", "40"]
