"""YAML text to a parsed machine, with positions."""
