"""Print pages of the language reference from the tables of the compiler.

python -m opslifecycle_codegen.emit.reference docs/reference
"""

from __future__ import annotations

import sys
import types
import typing
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs

from opslifecycle_codegen.base.reserved_words import ANYWHERE, RESERVED
from opslifecycle_codegen.base.rule_catalogue import FIXES, RULES, WAIVABLE
from opslifecycle_codegen.compat import compare
from opslifecycle_codegen.compat.meanings import MEANINGS
from opslifecycle_codegen.ir.built_ins import BARRIER_CHECKS, BUILT_IN_EFFECTS
from opslifecycle_codegen.ir.naming import BUILT_IN_METHODS
from opslifecycle_codegen.source import model
from opslifecycle_codegen.source.descriptions import described
from opslifecycle_codegen.source.parser import NAME_MAX
from opslifecycle_codegen.source.words import Declared, OneOrMore

_NOTE = "<!-- Printed by opslifecycle_codegen.emit.reference; make generate writes it anew. -->\n"


def rules_page() -> str:
    """Return the page of rules for errors and for changes."""
    lines = [_NOTE, "# Rules", "", "## Errors", "", "| rule | meaning | usual fix | waivable |"]
    lines.append("|---|---|---|---|")
    for rule, meaning in RULES.items():
        fix = FIXES[rule].replace("|", "\\|")
        lines.append(f"| `{rule}` | {meaning} | {fix} | {'yes' if rule in WAIVABLE else ''} |")
    lines += ["", "## Changes between two versions", ""]
    lines += ["| rule | meaning | what it breaks |", "|---|---|---|"]
    lines += [f"| `{rule}` | {MEANINGS[rule]} | {kind} |" for rule, kind in compare.RULES.items()]
    return "\n".join(lines) + "\n"


def sections_page() -> str:
    """Return the page of sections, with their keys."""
    lines = [_NOTE, "# Sections and keys", ""]
    lines.append("A key in bold is mandatory. [The language](language/index.md) explains each.")
    for kind in _kinds(model.Machine, set()):
        title = "A machine" if kind is model.Machine else kind.__name__
        summary = (kind.__doc__ or "").split("\n\n")[0]
        lines += ["", f"## {title}", "", summary, "", "| key | value | meaning |"]
        lines.append("|---|---|---|")
        hints, known = typing.get_type_hints(kind), described(kind)
        for field in attrs.fields(kind):
            if field.name == "mark":
                continue
            name = field.name.rstrip("_")
            if field.metadata.get("rest"):
                lines.append("| any declared property | its value | |")
                continue
            key = f"**`{name}`**" if field.default is attrs.NOTHING else f"`{name}`"
            meaning = known[name].replace("|", "\\|")
            lines.append(f"| {key} | {_words(hints[field.name])} | {meaning} |")
    lines += ["", "## Effects that the compiler places", "", "| effect | feature |", "|---|---|"]
    lines += [f"| `{name}` | {feature} |" for name, feature in BUILT_IN_EFFECTS.items()]
    lines += ["", "## Checks of a barrier", "", ", ".join(f"`{n}`" for n in BARRIER_CHECKS)]
    return "\n".join(lines) + "\n"


def _kinds(kind: type[Declared], seen: set[type]) -> Iterator[type[Declared]]:
    """Yield a class of the grammar and the classes that it refers to, each once."""
    if kind in seen:
        return
    seen.add(kind)
    yield kind
    for hint in typing.get_type_hints(kind).values():
        for inner in _inner(hint):
            yield from _kinds(inner, seen)


def _inner(hint: object) -> Iterator[type[Declared]]:
    if isinstance(hint, type) and not typing.get_origin(hint):
        if issubclass(hint, OneOrMore):
            yield hint.item
        elif issubclass(hint, Declared):
            yield hint
    for argument in typing.get_args(hint):
        yield from _inner(argument)


def _words(hint: object) -> str:
    """Return the description of a type of the grammar."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        parts = [each for each in arguments if each is not type(None)]
        return _words(parts[0]) if len(parts) == 1 else "any value"
    if origin is dict:
        return f"{_words(arguments[0])} → {_words(arguments[1])}"
    if origin is list:
        return f"a list of: {_words(arguments[0])}"
    if isinstance(hint, type) and issubclass(hint, OneOrMore):
        return f"{_words(hint.item)}, or a list of them"
    if isinstance(hint, type) and issubclass(hint, Declared):
        return f"[{hint.__name__}](#{hint.__name__.lower()})"
    plain = {
        "bool": "true or false", "int": "a whole number", "Number": "an integer", "Text": "a text",
        "Name": "a snake_case name", "TypeName": "a PascalCase name", "Expr": "an expression",
        "GuardUse": "a guard, or a guard with its arguments",
        "TypeExpr": "a type", "NameList": "a name or a list of names",
    }  # fmt: skip
    return plain.get(getattr(hint, "__name__", ""), "any value")


def reserved_page() -> str:
    """Return the page of reserved words, by position."""
    lines = [_NOTE, "# Reserved words", ""]
    lines.append("Every other word is free, in every place. `reserved-name` refuses these.")
    lines.append(f"A declared name has at most {NAME_MAX} characters (`long-name`).")
    lines += ["", "| where | words | why |", "|---|---|---|"]
    everywhere = {"any name": (ANYWHERE, "Python's grammar has it, or every method takes it")}
    for where, (words, reason) in {**everywhere, **RESERVED}.items():
        listed = ", ".join(f"`{word}`" for word in sorted(words))
        lines.append(f"| {where} | {listed} | {reason} |")
    lines += [
        "",
        "A class cannot be called like one that is named after the entity (`ParcelRecord`);",
        "`names` gives those other names. Where the machine declares a method with the name of a",
        "built-in method of the registry, the built-in one is reached by its second name:",
        "",
        "| built-in method | second name |",
        "|---|---|",
        *(f"| `{name}` | `_{name}` |" for name in BUILT_IN_METHODS),
    ]
    return "\n".join(lines) + "\n"


#: The pages by file name.
PAGES: dict[str, Callable[[], str]] = {
    "rules.md": rules_page,
    "sections.md": sections_page,
    "reserved.md": reserved_page,
}


def main() -> None:
    """Write every page into a folder."""
    folder = Path(sys.argv[1])
    for name, page in PAGES.items():
        (folder / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
