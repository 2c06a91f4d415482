"""Who runs, who is told? The host: case file, record, pipeline, bus, control, command line."""

import os

# Before numpy is imported: a sum must not depend on how many threads share it, and none may spin beside us.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
