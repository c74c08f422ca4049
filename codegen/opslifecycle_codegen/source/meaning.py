"""The digest of what a machine means: of its declarations, without the prose about them."""

from __future__ import annotations

import hashlib
import json

import attrs

from opslifecycle_codegen.source import model
from opslifecycle_codegen.source.reader import Mapping, PlainData, Scalar, Sequence, plain_data
from opslifecycle_codegen.source.words import Declared, GuardUse

#: Fields of declarations that say nothing about what a machine does.
_PROSE = frozenset({"mark", "summary"})
#: Sections that change neither what a machine does nor what it stores.
_ABOUT = frozenset({"scenarios", "waivers"})


def digest(machine: model.Machine) -> str:
    """Return the digest that generated files and stores have.

    Comments, layout, summaries and defaults that are written out do not change it.
    """
    canonical = json.dumps(_meaning(machine), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _meaning(value: object) -> PlainData:
    match value:
        case Declared():
            left_out = _PROSE | _ABOUT if isinstance(value, model.Machine) else _PROSE
            found = {
                field.name: _meaning(getattr(value, field.name))
                for field in attrs.fields(type(value))
                if field.name not in left_out and getattr(value, field.name) != _default(field)
            }
            # A text that may become a mapping in a later grammar keeps its meaning.
            return found[value.shorthand] if [*found] == [value.shorthand] else found
        case Scalar() | Sequence() | Mapping():
            return plain_data(value)
        case GuardUse() if value.arguments:
            return {str(value): _meaning(value.arguments)}
        case dict():
            return {str(key): _meaning(each) for key, each in value.items()}
        case list() | tuple():
            return [_meaning(each) for each in value]
    return str(value)


def _default(field: attrs.Attribute[object]) -> object:
    factory = getattr(field.default, "factory", None)
    return field.default if factory is None else factory()
