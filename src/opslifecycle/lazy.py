"""Names of a module that are imported when they are first used (PEP 562)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module


def importing(module: str, places: Mapping[str, str]) -> Callable[[str], object]:
    """Return the function `__getattr__` of a module.

    Args:
        module: The name of the module.
        places: By name, the module of this package that has it under the same name.
    """

    def get(name: str) -> object:
        place = places.get(name)
        if place is None:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        value: object = getattr(import_module(f"{__package__}.{place}"), name)
        # The next use finds it without this function.
        setattr(sys.modules[module], name, value)
        return value

    return get
