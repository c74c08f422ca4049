"""Configuration, diagnostics and the rule catalogue."""
