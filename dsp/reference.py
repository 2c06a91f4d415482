"""The slow twins, stage by stage: the formulas in plain numpy and Python, to read and to test the others by.

One file a stage; here they are under one roof. Nothing of the product imports them.
"""

from dsp import (
    reference_average,
    reference_change,
    reference_kernels,
    reference_mains,
    reference_measure,
    reference_montage,
    reference_sharpen,
)

__all__ = [
    "reference_average",
    "reference_change",
    "reference_kernels",
    "reference_mains",
    "reference_measure",
    "reference_montage",
    "reference_sharpen",
]
