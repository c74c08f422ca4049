"""A parsed machine to a checked program."""
