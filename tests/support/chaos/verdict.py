"""What a campaign finds: violations of what must hold under every fault."""

from __future__ import annotations


class ViolationError(Exception):
    """What must not be: `kind` is lost, duplicated, wrong, hang, orphan or traceback."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind


def require(holds: object, kind: str, text: str) -> None:
    """Raise a violation unless something holds."""
    if not holds:
        raise ViolationError(kind, text)
