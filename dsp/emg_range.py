"""What free-running EMG and its sound can be had of, for who reads case files: no kernel is loaded."""

LOWEST_HZ, HIGHEST_HZ = 2000.0, 26_000.0
OUT_HZ = 8000
MOST_PHASES = 512
