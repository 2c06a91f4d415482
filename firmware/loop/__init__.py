"""The sample loop, compiled: what an edge, a row and a pulse mean, and the loop on device nodes that asks.

`state` is its memory, `grid`, `samples` and `pulses` its steps, shared by every backend; `nodes` runs them on
descriptors without interpreter, `runner` is its Python half. Opens no device, and no numba is used elsewhere.
"""
