"""The publication lock, and the waits of callers: watches and barriers."""
