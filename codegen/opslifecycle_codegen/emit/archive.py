"""Lowering of the archive of a retention: the methods that read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attrs import frozen

from opslifecycle_codegen.emit import layout
from opslifecycle_codegen.emit.code import Code
from opslifecycle_codegen.emit.definition import tuple_argument
from opslifecycle_codegen.emit.pages import bound_pairs
from opslifecycle_codegen.ir.expr import Expression, Literal, number
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.ir.public_names import PublicNames
from opslifecycle_codegen.ir.types import BOOL, INT, Type, optional

#: The defaults of the method that reads the archive in order.
DEFAULTS: Mapping[str, Expression] = {
    "after": number(0), "limit": number(1000), "descending": Literal(BOOL, False),
}  # fmt: skip


@frozen
class ArchiveRead:
    """A method that reads the archive.

    Attributes:
        name: Its name.
        summary: What it does, as the machine says.
        more: What the compiler adds to that.
        types: Its parameters.
        returns: Its annotation.
        function: The function of the runtime.
        given: What the function gets.
    """

    name: str
    summary: str
    more: str
    types: dict[str, Type]
    returns: str
    function: str
    given: list[Code]

    def call(self, *, awaits: bool) -> Code:
        """Return the statement that is its body; `awaits` for a coroutine."""
        if awaits:
            return layout.called("return await _rt.in_thread", [Code(self.function), *self.given])
        return layout.called(f"return {self.function}", self.given)


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
        [Code("id")],
    )  # fmt: skip
    yield _page(program, names, declared.since, declared.summary, raises)


def _page(
    program: Program, names: PublicNames, name: str, summary: str, raises: str
) -> ArchiveRead:
    """Return the method that reads the archive page by page."""
    views = program.views
    more = (
        "Returns those that ended after a sequence number, at most `limit`, in order; with"
        " `descending` those before it, the latest first."
    )
    given = [Code("after"), Code("limit"), Code("descending")]
    types = {name: optional(type) for name, type, _ in views.filters}
    if types:
        given.append(tuple_argument("", [Code(name) for name in types]))
        more += " A filter that is None selects everything."
    if views.pages is not None and (bounds := bound_pairs(views.pages)):
        types |= {name: optional(type) for name, type in views.pages.bounds().items()}
        given.append(tuple_argument("" if views.filters else "bounds=", bounds))
    types |= {"after": INT, "descending": BOOL, "limit": INT}
    return ArchiveRead(
        str(name), summary, f"{more} {raises}", types, f"list[_rt.Archived[{names.snapshot}]]",
        "self._archive.list_since", given,
    )  # fmt: skip
