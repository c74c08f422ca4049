"""Stage 4, lower: a program to what templates print. Everything is decided here, nothing there."""
