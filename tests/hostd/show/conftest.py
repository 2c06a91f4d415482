"""Textual's pilot waits until the whole process rests, a second at most for each key: in a process where
other tests left a thread that works it waits that long each time. What it waits for is its own loop."""

import asyncio

import pytest

ROUNDS = 50


async def settled(min_sleep: float = 0.0, max_sleep: float = 1.0) -> None:
    """The loop has gone round often enough for a key to have been handled by all that handle it."""
    for _ in range(ROUNDS):
        await asyncio.sleep(0)
    await asyncio.sleep(0.002)


@pytest.fixture(autouse=True)
def _the_loop_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("textual.app.wait_for_idle", settled)
    monkeypatch.setattr("textual.pilot.wait_for_idle", settled)
