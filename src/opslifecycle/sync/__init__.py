"""The publication lock, and what callers wait on."""
