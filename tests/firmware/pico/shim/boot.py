"""Starts the board as its power-up does: boot.py SHIM ROOT. ROOT is its file system; main.py chooses."""

import sys

_, shim, root = sys.argv
sys.path[:] = [shim]

import machine  # noqa: F401
import rp2  # noqa: F401
import time  # noqa: F401
import vfs

vfs.umount("/")
vfs.mount(vfs.VfsPosix(root), "/")
sys.path[:] = []
with open("/main.py") as _file:
    exec(_file.read())
