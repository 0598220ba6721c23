"""Ratings in Postgres, and the reports that follow from them."""

import os

# Before numpy is loaded: beside a busy event loop two BLAS threads were 20 to 50 times slower than one (STATISTICS 3).
for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
