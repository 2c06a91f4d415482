"""One short case with everything in it, recorded once; `evokd export` as its user calls it."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hostd.cli import main
from tests.support.recorded import record

Export = Callable[..., Path]


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The case's folder: not to be changed."""
    return record(tmp_path_factory.mktemp("recorded"))[0]


@pytest.fixture
def case(recorded: Path, tmp_path: Path) -> Path:
    """A copy, to be changed."""
    return Path(shutil.copytree(recorded, tmp_path / "data" / recorded.name))


@pytest.fixture
def export(recorded: Path, tmp_path: Path, capsys: Any) -> Export:
    """Exports of a case (the recorded one) into a folder of the test's own: the path that was printed."""

    def exported(to: str, *options: str, of: Path | None = None) -> Path:
        out = tmp_path / "out" / to
        capsys.readouterr()
        words = ["export", str(of or recorded), "--to", to, "--out", str(out), *options]
        assert main(words) == 0, capsys.readouterr().err
        said = capsys.readouterr()
        assert said.out == f"{out}\n" and said.err == ""
        assert [p.name for p in out.parent.iterdir()] == [to], "nothing beside it"
        return out

    return exported
