"""What the process imports last from which programs are forked (`warm.py`)."""

from __future__ import annotations

import gc
import importlib

from _pytest.config import default_plugins

for _name in default_plugins:
    importlib.import_module(f"_pytest.{_name}")

# What is imported stays: the collector of a program that is forked looks at the program's own.
gc.collect()
gc.freeze()
