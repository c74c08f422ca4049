"""Lowering of identifier types."""

from __future__ import annotations

from attrs import frozen

from opslifecycle_codegen.emit import layout
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.ir.symbols import IdForm


@frozen
class IdentifierView:
    """A class of identifiers as the template prints it; `form` says which texts it takes."""

    name: str
    base: str
    doc: list[str]
    form: list[str]


def identifier_views(program: Program, width: int) -> list[IdentifierView]:
    """Return the identifier types in the order of the machine."""
    forms = program.symbols.id_forms
    return [
        IdentifierView(
            name,
            _base(forms.get(name)),
            layout.docstring(summary, indent=4, width=width),
            _form(forms.get(name), width),
        )
        for name, summary in program.symbols.ids.items()
    ]


def _base(form: IdForm | None) -> str:
    if form is None:
        return "Identifier"
    return "IntIdentifier" if form.is_number else "TextIdentifier"


def _form(form: IdForm | None, width: int) -> list[str]:
    if form is None or form.is_number:
        return []
    pattern = layout.string_code(form.pattern, width - 8)
    return [
        f"    prefix = {layout.quoted(form.prefix)}",
        *layout.statement("pattern = ", pattern, "", indent=4, width=width),
    ]
