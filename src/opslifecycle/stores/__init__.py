"""Where a registry keeps its state."""
