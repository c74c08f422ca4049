"""Lowering of the archive of a retention: the methods that read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attrs import frozen

from opslifecycle_codegen.ir.expr import Expression, number
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.ir.public_names import PublicNames
from opslifecycle_codegen.ir.types import INT, Type

#: The defaults of the method that reads the archive in order.
DEFAULTS: Mapping[str, Expression] = {"after": number(0), "limit": number(1000)}


@frozen
class ArchiveRead:
    """A method that reads the archive.

    Attributes:
        name: Its name.
        summary: What it does, as the machine says.
        more: What the compiler adds to that.
        types: Its parameters.
        returns: Its annotation.
        function: The function of the runtime, which gets the parameters.
    """

    name: str
    summary: str
    more: str
    types: dict[str, Type]
    returns: str
    function: str

    def call(self, *, awaits: bool) -> tuple[str, list[str]]:
        """Return the function that its body calls, and the arguments; `awaits` for a coroutine."""
        if awaits:
            return "return await _rt.in_thread", [self.function, *self.types]
        return f"return {self.function}", list(self.types)


def archive_reads(program: Program, names: PublicNames) -> Iterator[ArchiveRead]:
    """Yield the methods of a machine that archives what it evicts; none of another one."""
    retention = program.machine.retention
    if retention is None or retention.archive is None:
        return
    declared = retention.archive
    raises = "Reads the store: raises RegistryClosedError, PersistenceError, StoreDamagedError."
    yield ArchiveRead(
        str(declared.get), declared.summary,
        f"Returns the record with the id that was evicted last; None if there is none. {raises}",
        {"id": Type("id", names.id)}, f"{names.snapshot} | None", "self._archive.get",
    )  # fmt: skip
    yield ArchiveRead(
        str(declared.since), declared.summary,
        f"Returns those that ended after a sequence number, at most `limit`, in order. {raises}",
        {"after": INT, "limit": INT}, f"list[_rt.Archived[{names.snapshot}]]",
        "self._archive.list_since",
    )  # fmt: skip
