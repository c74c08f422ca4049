"""Compiles a lifecycle declared in YAML to Python: read, parse, analyze, lower, render, write."""
