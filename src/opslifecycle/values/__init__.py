"""Immutable values of a machine: identifiers, argument checks, JSON conversion."""
