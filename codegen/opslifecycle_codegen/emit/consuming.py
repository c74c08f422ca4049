"""Lowering of `consume`, which every registry has whose machine declares cursors in a feed."""

from __future__ import annotations

from attrs import frozen

from opslifecycle_codegen.emit import layout
from opslifecycle_codegen.emit.annotations import annotation
from opslifecycle_codegen.ir.naming import public_methods
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.ir.public_names import PublicNames


@frozen
class Consuming:
    """The method, as lines, and its name."""

    name: str
    signature: list[str]
    doc: list[str]
    body: list[str]


def consuming(
    program: Program, names: PublicNames, width: int, *, awaits: bool = False
) -> Consuming | None:
    """Return the method that iterates over the entries after a cursor."""
    feed, cursors = program.machine.feed, program.machine.cursors
    if feed is None or cursors is None:
        return None
    name, kind = names.own["consume"], "Consumer" if awaits else "ThreadConsumer"
    members = {str(method) for method in public_methods(program.machine)}
    signature = layout.call(
        f"def {name}",
        [
            "self",
            annotation(f"consumer: {program.symbols.cursor_enum}", members),
            "*",
            annotation("wait: bool = True", members),
        ],
        f" -> {annotation(f'_rt.{kind}[{feed.entry.name}]', members)}:",
        indent=4, width=width,
    )  # fmt: skip
    loop = "`async for` and `async with`" if awaits else "`for` and `with`"
    doc = layout.docstring(
        "Receive every entry of the feed after a cursor, at least once.",
        [
            f"Use it in {loop}. The cursor moves after the body has succeeded. A cursor has one "
            "consumer at a time. Entries that were evicted unread are one gap. Without `wait`, the "
            "iteration ends at the last entry there is.",
            "Raises InvalidValueError; while iterating RegistryClosedError, and PersistenceError "
            "if the cursor cannot be moved.",
        ],
        indent=8, width=width,
    )  # fmt: skip
    body = layout.call(
        f"return _rt.{kind}",
        [
            "self._feed",
            f"_rt.partial(self.{cursors.get}, consumer)",
            f"_rt.partial(self.{cursors.advance}, consumer)",
            "wait=wait",
        ],
        "", indent=8, width=width,
    )  # fmt: skip
    return Consuming(name, signature, doc, body)
