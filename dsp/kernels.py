"""The compiled kernels: plain functions over arrays, output passed in, nothing allocated, nothing looked up.

They are compiled, or taken from the cache, when this module is imported and never after the first sample; all
release the interpreter's lock. What each promises stands in `dsp.kernels_plain`. Where the CPU has an
instruction that multiplies and adds, those that cost most are `dsp.kernels_vector`'s; EVOKD_KERNELS=plain
takes the plain ones, to compare.
"""

import os

from dsp import kernels_llvm
from dsp.kernels_change import clear_evidence, cusum, learn_withheld, sweep_noise, threshold
from dsp.kernels_mains import fit_window
from dsp.kernels_plain import (
    bridge,
    derive,
    loud_counts,
    microvolts,
    null_averages,
    pattern_shares,
    turn,
    turn_back,
)
from dsp.kernels_sums import running_sums

if kernels_llvm.available() and os.environ.get("EVOKD_KERNELS") != "plain":
    from dsp.kernels_vector import cascade, decode, fold, peak_magnitude, power
else:
    from dsp.kernels_plain import cascade, decode, fold, peak_magnitude, power

ALL = (
    bridge,
    cascade,
    clear_evidence,
    cusum,
    decode,
    derive,
    fit_window,
    fold,
    learn_withheld,
    loud_counts,
    microvolts,
    null_averages,
    pattern_shares,
    peak_magnitude,
    power,
    running_sums,
    sweep_noise,
    threshold,
    turn,
    turn_back,
)

__all__ = [
    "ALL",
    "bridge",
    "cascade",
    "clear_evidence",
    "cusum",
    "decode",
    "derive",
    "fit_window",
    "fold",
    "learn_withheld",
    "loud_counts",
    "microvolts",
    "null_averages",
    "pattern_shares",
    "peak_magnitude",
    "power",
    "running_sums",
    "sweep_noise",
    "threshold",
    "turn",
    "turn_back",
]
