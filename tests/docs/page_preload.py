"""What the processes of pages have in common, loaded once in the process that they are forked from: modules, and the text
that every run on the documentation of Python reads."""

# ruff: noqa: F401

import functools
import gc
import sysconfig
from pathlib import Path

import numba
import torch
import torch._dynamo
import transformers.models.gpt2.modeling_gpt2

import evoweights.cli.app
import evoweights.report.page
import evoweights.runs.session
import evoweights_kernels.launch
import evoweights_lm.task
from evoweights_lm import python_docs

python_docs._read = functools.cache(python_docs._read)
python_docs._read(Path(sysconfig.get_paths()["stdlib"]), 0.1)

# What lives here is not searched for garbage in the processes to come.
gc.collect()
gc.freeze()
