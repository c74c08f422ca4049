"""The hooks of a converter, found where no interrupt comes.

While cattrs looks for the hook of a type, it takes every exception for a hook that is not meant,
and it remembers what it finds: a signal handler that raises at that moment, or a stack that has no
room left, would change how the type is converted until the process ends. No signal handler runs in
another thread, and the stack is empty there.
"""

from __future__ import annotations

import contextlib
import threading
import typing
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import attrs

if TYPE_CHECKING:
    from cattrs import Converter


Hook: TypeAlias = Callable[..., object]


@attrs.frozen(eq=False, repr=False)
class Resolved:
    """A converter, and the hooks that it has found.

    Attributes:
        converter: The converter.
        hooks: By type, what structures a value of it. To find one here takes half of the time that
            the converter takes, which has a cache of its own.
    """

    converter: Converter
    hooks: dict[object, Hook]


def resolved(before: Resolved | None, build: Callable[[], Converter], kind: object) -> Resolved:
    """Return a converter that has found the hooks of a type and of its parts.

    Args:
        before: The converter as it was; None before the first call.
        build: Makes the converter.
        kind: The type.
    """
    results: list[Resolved | BaseException] = []

    def work() -> None:
        try:
            found = before or Resolved(build(), {})
            _resolve(found.converter, kind, found.hooks)
            results.append(found)
        except BaseException as error:
            results.append(error)

    try:
        thread = threading.Thread(target=work, name="opslifecycle-types")
        thread.start()
        thread.join()
    except RecursionError:
        raise
    except RuntimeError:
        # The system has no thread left, or the interpreter is about to end.
        work()
    (result,) = results
    if isinstance(result, BaseException):
        raise result
    return result


def _resolve(converter: Converter, kind: object, known: dict[object, Hook]) -> None:
    if kind in known:
        return
    hints: dict[str, object] = {}
    # A type that cannot be converted is reported when a value of it is.
    hook: Hook = converter.structure
    with contextlib.suppress(Exception):
        hook = converter.get_structure_hook(kind)
    with contextlib.suppress(Exception):
        converter.get_unstructure_hook(kind)
    if hasattr(kind, "__attrs_attrs__") or hasattr(kind, "__dataclass_fields__"):
        with contextlib.suppress(Exception):
            hints = typing.get_type_hints(kind)
    known[kind] = hook
    for part in (*typing.get_args(kind), *hints.values()):
        _resolve(converter, part, known)
