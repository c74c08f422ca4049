"""The engine around a generated authority."""
