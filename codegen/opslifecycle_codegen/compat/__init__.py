"""Locks, comparisons and migrations of stored data."""
