"""`evokd bridge`: bad usage is one line and exit code 2."""

import pytest

from hostd import cli


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["bridge"], "TO"),
        (["bridge", "mqtt"], "mqtt"),
        (["bridge", "lsl", "--streams", "raw,video"], "'video' is none of raw, averages, markers"),
        (["bridge", "lsl", "--bus", "nowhere"], "not an endpoint"),
        (["bridge", "lsl", "--as", "ann"], "--keys"),
        (["bridge", "prometheus", "--http", "9750"], "HOST:PORT"),
        (["bridge", "prometheus", "--bus", "nowhere"], "not an endpoint"),
    ],
)
def test_bad_usage(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 2
    said = capsys.readouterr().err
    assert told in said and said.count("\n") == 1
