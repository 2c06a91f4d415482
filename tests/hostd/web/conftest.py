"""One headless browser for all tests of the pages in a file."""

import shutil
from collections.abc import Iterator

import pytest

from tests.support.chromium import PROGRAM, chromium


@pytest.fixture(scope="module")
def devtools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Its DevTools port; skips where there is none."""
    if PROGRAM is None:
        pytest.skip("no chromium, chromium-browser or google-chrome on PATH")
    profile = tmp_path_factory.mktemp("chromium")
    with chromium(str(profile)) as port:
        yield port
    shutil.rmtree(profile, ignore_errors=True)
