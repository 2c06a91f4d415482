"""The examples of dsp/README.md run as they stand, and say what is so."""

import re
from pathlib import Path

import pytest

TEXT = (Path(__file__).parents[2] / "dsp" / "README.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def test_every_file_has_its_line() -> None:
    files = {path.name for path in (Path(__file__).parents[2] / "dsp").glob("*.py")} - {
        "__init__.py",
        "nouns.py",
    }
    missing = {name for name in files if name not in TEXT and "_" + name.split("_", 1)[-1][:-3] not in TEXT}
    assert {name for name in missing if not name.startswith("reference_")} == set()


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_runs_and_holds(number: int) -> None:
    assert "assert" in EXAMPLES[number]
    exec(compile(EXAMPLES[number], f"dsp/README.md, example {number + 1}", "exec"), {})


def test_there_is_an_example_of_every_stage() -> None:
    wanted = (
        "average",
        "change",
        "droop",
        "emg_audio",
        "free_emg",
        "locked",
        "mains_fit",
        "measure",
        "modes",
        "montage",
        "sharpen",
        "stopping",
    )
    assert [stage for stage in wanted if f"from dsp.{stage} import" not in "".join(EXAMPLES)] == []
