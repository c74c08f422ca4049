"""How fast it is, always against something else in the same run. `python -m benchmarks`."""
