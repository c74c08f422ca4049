"""Batches: what is to run, and how it is read from YAML, from words, or from a template."""
