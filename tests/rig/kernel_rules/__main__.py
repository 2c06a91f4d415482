"""`python -m tests.rig.kernel_rules [--record FILE] [CASE ...]`: asks, and prints what it is told.

On the rig, or on a kernel whose lines `RigControl` drives, prints {case: observation} as its last line. Owns
the command line's way in; registry.py does the asking.
"""

import sys

from tests.rig.kernel_rules.registry import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
