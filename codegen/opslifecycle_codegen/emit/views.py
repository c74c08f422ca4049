"""Lowering of what is read of records (snapshot, feed entry, listing) and of the invariants."""

from __future__ import annotations

from attrs import frozen

from opslifecycle_codegen.emit import layout
from opslifecycle_codegen.emit.annotations import annotation
from opslifecycle_codegen.emit.code import Code
from opslifecycle_codegen.emit.python import Printer
from opslifecycle_codegen.emit.types import leave_out
from opslifecycle_codegen.ir.expr import Expression
from opslifecycle_codegen.ir.naming import rule_function
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.ir.symbols import ViewInfo
from opslifecycle_codegen.ir.views import Rule


@frozen
class ViewView:
    """A view as the template prints it: its fields, and how a record fills them."""

    name: str
    doc: list[str]
    fields: list[str]
    filling: list[str]
    leave_out: list[str]


@frozen
class RuleView:
    """An invariant or step property as a function."""

    name: str
    signature: list[str]
    doc: list[str]
    body: list[str]


def snapshot_view(program: Program, name: str, width: int) -> ViewView:
    """Return the snapshot of one record."""
    summary = program.machine.snapshot.summary
    return _view(program, "snapshot", name, summary, program.views.snapshot, width)


def entry_view(program: Program, width: int) -> ViewView | None:
    """Return the feed entry of one record, if the machine has a feed."""
    feed = program.machine.feed
    if feed is None:
        return None
    name, summary = str(feed.entry.name), feed.entry.summary
    return _view(program, "entry", name, summary, program.views.entry, width)


def _view(
    program: Program,
    draft: str,
    name: str,
    summary: str,
    fields: tuple[tuple[ViewInfo, Expression], ...],
    width: int,
) -> ViewView:
    printer = Printer(program.symbols)
    declared, filling, left_out = [], [], []
    members = {info.name for info, _ in fields}
    for place, (info, tree) in enumerate(fields):
        # Snapshots take keywords. Behind a default, an entry could have no field without one.
        later = fields[place:] if draft == "entry" else ()
        has_default = info.type.optional and all(each.type.optional for each, _ in later)
        default = " = None" if has_default else ""
        type = annotation(info.type.python, members)
        declared.append(f"{info.name}: {type}{default}")
        code = printer.code(tree)
        filling += layout.statement(f"{draft}.{info.name} = ", code, "", indent=4, width=width)
        if info.type.optional and not info.keep_none:
            left_out.append(layout.quoted(info.name))
    return ViewView(
        name,
        layout.docstring(summary, indent=4, width=width),
        declared,
        filling,
        leave_out(name, left_out, width) if left_out else [],
    )


def rule_views(
    program: Program, rules: tuple[Rule, ...], signature: str, parameters: list[str], width: int
) -> list[RuleView]:
    """Return rules as functions of the same parameters."""
    printer = Printer(program.symbols, registry="authority")
    return [
        RuleView(
            rule.name,
            layout.call(
                f"def {rule_function(rule.name)}", parameters, signature, indent=0, width=width
            ),
            layout.docstring(rule.summary, indent=4, width=width),
            layout.statement("return ", printer.code(rule.tree), "", indent=4, width=width),
        )
        for rule in rules
    ]


def by_name(name: str, rules: tuple[Rule, ...]) -> list[str]:
    """Return lines that give the functions of some rules by the names of the rules."""
    items = (f"    {layout.quoted(rule.name)}: {rule_function(rule.name)}," for rule in rules)
    return [f"{name} = {{", *items, "}"]


def listing_parts(program: Program, width: int) -> tuple[list[str], list[str]]:
    """Lines that return a record's listing keys, and its sort key; none without a listing."""
    printer = Printer(program.symbols)
    keys = [printer.code(tree) for _, _, tree in program.views.filters]
    order = [printer.code(tree) for tree in program.views.order]
    return returned(keys, width), returned(order, width)


def returned(items: list[Code], width: int) -> list[str]:
    """Return the statement that returns a tuple."""
    return layout.statement("return ", layout.called("", items), "", indent=4, width=width)
