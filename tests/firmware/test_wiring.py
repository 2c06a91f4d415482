"""The wiring of a board: what is accepted, and the one line for what is not."""

from pathlib import Path

import pytest

from firmware.errors import ConfigError
from firmware.wiring import Wiring, parse_wiring, read_wiring


def test_the_default_is_our_board() -> None:
    wiring = parse_wiring({})
    assert wiring == Wiring()
    assert (wiring.spi, wiring.data_ready, wiring.lines) == (("0.0",), 17, (22, 23, 24, 25))


def test_everything_can_be_named(tmp_path: Path) -> None:
    file = tmp_path / "board.toml"
    file.write_text(
        'spi = ["0.0", "0.1"]\nspi_hz = 4_000_000\ngpio = "pinctrl-rp1"\ndata_ready = 5\nlines = [6]\n'
        'start = 13\ndaisy = false\nread = "rdatac"\noutputs = "rpi-gpio"\npriority = 80\ncpu = 3\n'
    )
    assert read_wiring(file) == Wiring(
        ("0.0", "0.1"), 4_000_000, "pinctrl-rp1", 5, (6,), 13, False, "rdatac", "rpi-gpio", 80, 3
    )


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"spy": ["0.0"]}, "'spy' is unknown; known are spi, spi_hz"),
        ({"spi": "0.0"}, "spi must be a list of texts"),
        ({"spi": [0.0]}, "spi must be a list of texts"),
        ({"spi": ["0,0"]}, "is not BUS.SELECT such as 0.0"),
        ({"spi": []}, "0 chip selects in spi: a board has 1 to 4"),
        ({"spi": ["0.0"] * 5}, "5 chip selects in spi"),
        ({"spi_hz": 8e6}, "spi_hz must be a whole number, not 8000000.0"),
        ({"spi_hz": 30_000_000}, "not within 1 to 20,000,000"),
        ({"spi_hz": 0}, "not within 1 to 20,000,000"),
        ({"lines": [1, 2, 3, 4, 5]}, "5 stimulus lines: a board of these chips has 4"),
        ({"lines": [True]}, "lines must be a list of whole numbers"),
        ({"lines": [22, 17]}, "GPIO 17 has two uses"),
        ({"start": 22}, "GPIO 22 has two uses"),
        ({"daisy": 1}, "daisy must be true or false"),
        ({"read": "fast"}, "read 'fast' is neither rdata nor rdatac"),
        ({"outputs": "wiringpi"}, "outputs 'wiringpi' is neither gpiod nor rpi-gpio"),
        ({"priority": 99}, "priority 99 is not within 1 to 98"),
        ({"gpio": 4}, "gpio must be a text, not 4"),
        ({"cpu": "3"}, "cpu must be a whole number"),
    ],
)
def test_what_cannot_be_wired_is_said_in_one_line(table: dict, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_wiring(table)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "No such file"), (b"spi = [", "wiring"), (b"\xff", "utf-8"), (b"cpu = true", "whole number")],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, content: bytes | None, words: str) -> None:
    file = tmp_path / "board.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_wiring(file)
    assert str(caught.value).startswith(f"wiring {file}: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
