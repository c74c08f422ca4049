"""Stores for the protocols of agents: each package needs the extra of its name."""
