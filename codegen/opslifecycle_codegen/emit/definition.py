"""Lowering of the definition that the runtime builds a machine's registries from."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from opslifecycle_codegen.emit import layout
from opslifecycle_codegen.emit.code import Code
from opslifecycle_codegen.emit.python import Printer
from opslifecycle_codegen.emit.readers import reader
from opslifecycle_codegen.emit.timers import begun_fields
from opslifecycle_codegen.ir.feeds import feeds_transitions
from opslifecycle_codegen.ir.naming import command_method, setting
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.ir.public_names import PublicNames
from opslifecycle_codegen.ir.times import tells_time
from opslifecycle_codegen.source.words import Name


@frozen
class DefinitionView:
    """The definition as the template prints it: two statements and the call of a constructor."""

    rows_max: list[str]
    definition: list[str]
    opening: list[str]


class DefinitionLowering:
    """Turns the features of a program into the definition of its registries."""

    def __init__(self, program: Program, names: PublicNames, width: int) -> None:
        self._program = program
        self._machine = program.machine
        self._names = names
        self._width = width

    def view(self) -> DefinitionView:
        """Return the definition of a machine."""
        return DefinitionView(
            rows_max=self._rows_max(),
            definition=layout.statement(
                "DEFINITION = ",
                layout.called("_rt.Definition", self._parts()),
                "",
                indent=0,
                width=self._width,
            ),
            opening=layout.call(
                "_rt.open_registry", self._given(), "", indent=8, width=self._width
            ),
        )

    def _rows_max(self) -> list[str]:
        """Return the statement in the function that computes the limit of the feed."""
        retention = self._program.retention
        if retention is None:
            return []
        limit = Printer(self._program.symbols, registry="authority").code(retention.max_entries)
        return layout.statement("return ", limit, "", indent=4, width=self._width)

    def _given(self) -> list[str]:
        """Return the arguments of the call that opens a registry."""
        given = ["self", "DEFINITION"]
        given += [f"{name}={name}" for name in self._machine.settings]
        given += ["store=store"] if self._program.recovery is not None else []
        given += ["clock=clock"] if tells_time(self._program) else []
        given += ["on_effect=on_effect"] if self._machine.effects else []
        return given

    def _parts(self) -> list[Code]:
        parts = [
            Code(f"authority={self._names.authority}"),
            Code(f"id_type={self._names.id}"),
            Code("listing_keys=listing_keys"),
        ]
        if self._program.views.pages is not None:
            parts.append(Code("pages=PAGES"))
        settings = [self._setting(name) for name in self._machine.settings]
        if settings:
            parts.append(tuple_argument("settings=", settings))
        parts += [*self._feed(), *self._outbox(), *self._timers(), *self._recovery()]
        return parts

    def _setting(self, name: Name) -> Code:
        declared = self._machine.settings[name]
        function, limits = reader(self._program.symbols.registry_fields[name])
        arguments = [Code(layout.quoted(name)), Code(function)]
        if declared.default is not None:
            arguments.append(Code(f"DEFAULT_{name.upper()}"))
        if declared.at_least is not None:
            arguments.append(Code(f"at_least={declared.at_least}"))
        if setting(name) != name:
            arguments.append(Code(f"argument={layout.quoted(setting(name))}"))
        if limits:
            arguments.append(tuple_argument("read_with=", limits))
        return layout.called("_rt.Setting", arguments)

    def _feed(self) -> list[Code]:
        feed, retention = self._machine.feed, self._program.retention
        if feed is None:
            return []
        arguments = ["entry_of=entry_of", f"batch={feed.batch}", f"epoch={feed.epoch}"]
        if feeds_transitions(self._machine):
            arguments.append("of_transitions=True")
        if retention is not None:
            arguments += ["rows_max=_rows_max", f"held_by_cursors={retention.held_by_cursors}"]
            declared = self._machine.retention
            if declared is not None and declared.archive is not None:
                arguments.append("snapshot_of=snapshot_of")
        return [layout.called("feed=_rt.FeedDefinition", [Code(each) for each in arguments])]

    def _outbox(self) -> list[Code]:
        if not self._machine.effects:
            return []
        arguments = [
            "rules=OUTBOX",
            f"effects={self._names.effect}",
            f"actions={self._names.action}",
            "snapshot_of=snapshot_of",
        ]
        if self._program.recovery is not None:
            arguments.append("body_of=body_of")
        return [layout.called("outbox=_rt.OutboxDefinition", [Code(each) for each in arguments])]

    def _timers(self) -> list[Code]:
        if not self._program.timers:
            return []
        arguments = ["timers=TIMERS", "timers_of=timers_of"]
        if begun_fields(self._program):
            arguments.append("begin_status=begin_status")
        return [layout.called("timers=_rt.TimersDefinition", [Code(each) for each in arguments])]

    def _recovery(self) -> list[Code]:
        recovery, authority = self._program.recovery, self._names.authority
        if recovery is None:
            return []
        parts = [Code("codec=CODEC")]
        if recovery.command:
            parts.append(Code(f"terminate={authority}.recover_interrupted"))
        discards = self._program.discards()
        if discards:
            method = command_method(discards, {*self._program.symbols.registry_fields})
            parts.append(Code(f"discard={authority}.{method}"))
        return parts


def tuple_argument(before: str, items: Sequence[Code]) -> Code:
    """Return a tuple behind the name of a parameter."""
    inside = ", ".join(each.text for each in items) + ("," if len(items) == 1 else "")
    return Code(f"{before}({inside})", lead=f"{before}(", parts=tuple(items), commas=True)
