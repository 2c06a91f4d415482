"""Starts the board's program on the modelled board: run.py SHIM BOARD. Each look at the edges lets the
board go on for a while."""

import sys

_, shim, board = sys.argv
sys.path[:] = [board, shim]

import os

import rp2
from evokd import acquisition, edge, reader
from evokd.reader import SLOTS

_begun = acquisition.Acquisition.__init__


def _begin(self, *arguments):
    _begun(self, *arguments)
    rp2.full = lambda: self._reader.edges() - self._taken > (SLOTS - 3) * self._rows


_watched = acquisition.Acquisition.watch


def _watch(self):
    rp2.run()
    _watched(self)


def _edge(self):
    """In the model reading may stop between any two looks."""
    rp2.run()
    return self.edges()


reader.Reader._edge = _edge
acquisition.Acquisition.__init__ = _begin
acquisition.Acquisition.watch = _watch
edge._blocks = lambda: int(os.getenv("EVOKD_BOARD_BLOCKS"))
edge.STAY = os.getenv("EVOKD_BOARD_ROOT") + edge.STAY
edge.main()
