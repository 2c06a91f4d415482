"""`evokd bench` hands its options to the edge's program, and to the rig's device nodes when asked."""

import sys

import pytest

from hostd import cli, run


@pytest.fixture
def started(monkeypatch):
    calls: list[tuple[str, list[str]]] = []

    def foreground(module: str, args: list[str]) -> int:
        calls.append((module, args))
        return 7

    monkeypatch.setattr(run, "foreground", foreground)
    return calls


def test_options_and_exit_code_are_the_benchs(started) -> None:
    assert cli.main(["bench", "--json", "x.json", "--quick"]) == 7
    assert started == [("firmware.bench", ["--json", "x.json", "--quick"])]


def test_the_rig_runs_the_same_bench_on_its_device_nodes(started) -> None:
    assert cli.main(["bench", "--rig", "--items", "id"]) == 7
    bench = [sys.executable, "-m", "firmware.bench", "--source", "pi", "--items", "id"]
    assert started == [("firmware.rig", ["--", *bench])]


def test_a_source_beside_the_rig_is_refused(started, capsys) -> None:
    assert cli.main(["bench", "--rig", "--source", "simulated"]) == 2
    assert "leave --source out" in capsys.readouterr().err
    assert started == []
