import os

# Triton decides when kernels are decorated whether it interprets them.
os.environ.setdefault("TRITON_INTERPRET", "1")
