"""What generated code may import: one module for each version of this surface.

Generated modules import `opslifecycle.runtime.v1` and nothing else of this package, so a change
behind that module never makes a user generate code again. A name that changes its meaning, or that
goes, needs a new version. A package that was generated for a version which is not installed fails
when it is imported, with the command that fixes it.
"""

from __future__ import annotations

import re
from typing import NoReturn

#: The version of the surface that this release has.
RUNTIME_VERSION = 1


class RuntimeVersionError(ImportError):
    """Generated code and the installed runtime do not fit."""


def __getattr__(name: str) -> NoReturn:
    # The import system asks for the current version before it is loaded: AttributeError is right.
    if re.fullmatch(r"v[0-9]+", name) and name != f"v{RUNTIME_VERSION}":
        raise RuntimeVersionError(
            f"this generated code needs opslifecycle.runtime.{name}, but the installed "
            f"opslifecycle has v{RUNTIME_VERSION}: run `opslifecycle-codegen generate` with the "
            "installed version, or install the version that generated the code"
        )
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
