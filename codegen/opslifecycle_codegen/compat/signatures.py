"""The public methods of a machine, and the changes of them that callers notice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from attrs import frozen

from opslifecycle_codegen.compat.compare import Change
from opslifecycle_codegen.compat.limits import bare
from opslifecycle_codegen.compat.renames import UNCHANGED, Renames
from opslifecycle_codegen.ir.expr import Expression
from opslifecycle_codegen.ir.messages import ACTIONS, create_word
from opslifecycle_codegen.ir.notation import notation
from opslifecycle_codegen.ir.pages import BY_ID
from opslifecycle_codegen.ir.parameters import omissible
from opslifecycle_codegen.ir.parts import METHODS, methods_of
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.ir.types import Type


@frozen
class Parameter:
    """A parameter of a method; without a default, every call passes it."""

    name: str
    type: str
    default: str | None = None

    def __str__(self) -> str:
        shown = f"{self.name}: {self.type}" if self.type else self.name
        return shown if self.default is None else f"{shown} = {self.default}"


@frozen
class Signature:
    """A public method: its parameters in order, and the type of its result; empty if unknown."""

    parameters: tuple[Parameter, ...] = ()
    returns: str = ""

    def __str__(self) -> str:
        shown = f"({', '.join(map(str, self.parameters))})"
        return f"{shown} -> ({self.returns})" if self.returns else shown


def signatures(program: Program, names: Renames) -> dict[str, Signature]:
    """Return the public methods with their parameters, in the names of a newer version."""
    machine, create = program.machine, program.create
    found: dict[str, Signature] = {}
    for method, words in machine.create.methods.items():
        taken = {str(word): create.params[str(word)] for word in words}
        parameters = _parameters(create_word(machine), taken, create.defaults, names)
        found[str(method)] = Signature(tuple(parameters))
    id = Parameter("id", "")
    for action in program.actions:
        declared = next(a for n, a in machine.actions.items() if n == action.name)
        parameters = _parameters(action.name, action.params, action.defaults, names)
        signature = Signature((id, *parameters), _value(action.returns, names))
        found.update(dict.fromkeys(map(str, declared.methods), signature))
    for choice in program.choices:
        first = choice.first
        parameters = _parameters(first.name, first.params, first.defaults, names)
        found[choice.name] = Signature((id, *parameters), _value(choice.returns, names))
    for bulk in program.bulk:
        command = bulk.command
        parameters = _parameters(bulk.action, command.params, command.defaults, names)
        found[command.name] = Signature(tuple(parameters))
    for rule in program.classifiers:
        parameters = _parameters(rule.name, rule.params, rule.defaults, names)
        found[rule.name] = Signature((id, *parameters), bare(names.type(rule.type)))
    for key in program.unique:
        types = {name: type.required for name, type in key.fields.items()}
        parameters = _parameters(key.name, types, {}, names)
        found[key.name] = Signature(tuple(parameters))
    if machine.listing is not None:
        found[str(machine.listing.method)] = Signature(tuple(_listing(program, names)))
    for name in methods_of(program):
        found.setdefault(name, Signature())
    return {names.name(METHODS, name): each for name, each in found.items()}


def _value(tree: Expression | None, names: Renames) -> str:
    """Return the type of what an action returns; empty for one that returns nothing."""
    return bare(names.type(tree.type)) if tree is not None else ""


def _listing(program: Program, names: Renames) -> Iterator[Parameter]:
    """Yield the parameters of a listing: its filters, and what its pages add."""
    views = program.views
    types = {name: bare(names.type(type)) for name, type, _ in views.filters}
    if views.pages is not None:
        bounds = views.pages.bounds().items()
        types |= {name: bare(names.type(type)) for name, type in bounds}
        types["order_by"] = " or ".join([BY_ID, *(name for name, _ in views.pages.orders)])
    yield from (Parameter(name, type, "None") for name, type in types.items())


def _parameters(
    command: str, types: Mapping[str, Type], defaults: Mapping[str, Expression], names: Renames
) -> Iterator[Parameter]:
    may_omit, today = omissible(types, defaults), names.name(ACTIONS, command)
    for name, type in types.items():
        default = None
        if name in may_omit:
            default = notation(names.tree(defaults[name])) if name in defaults else "None"
        yield Parameter(names.argument(today, name), bare(names.type(type)), default)


def signature_changes(old: Program, new: Program, names: Renames) -> Iterator[Change]:
    """Yield the changes of public methods between two versions.

    Args:
        old: The older machine.
        new: The newer one.
        names: The newer one's names for what the older one calls otherwise.
    """
    before, after = signatures(old, names), signatures(new, UNCHANGED)
    for name, signature in before.items():
        if name not in after:
            yield Change("method-removed", f"the method {name} is gone")
        elif after[name] != signature:
            yield from _changed(f"the method {name}", signature, after[name])
    for name in after:
        if name not in before:
            yield Change("method-added", f"the method {name} is new")


def _changed(method: str, old: Signature, new: Signature) -> Iterator[Change]:
    if not _takes_calls_of(new.parameters, old.parameters) or new.returns != old.returns:
        yield Change("method-changed", f"{method} was {old} and is {new}")
        return
    for was, now in zip(old.parameters, new.parameters, strict=False):
        if was.default is None and now.default is not None:
            yield Change("parameter-added", f"{method} may be called without {now.name}")
        elif was.default != now.default:
            subject = f"the default of {now.name} in {method}"
            yield Change("default-changed", f"{subject} was {was.default} and is {now.default}")
    for added in new.parameters[len(old.parameters) :]:
        yield Change("parameter-added", f"{method} gains the parameter {added}")


def _takes_calls_of(new: Sequence[Parameter], old: Sequence[Parameter]) -> bool:
    """Return whether every call with the old parameters is one with the new ones."""
    if len(new) < len(old) or any(each.default is None for each in new[len(old) :]):
        return False
    return all(
        (was.name, was.type) == (now.name, now.type)
        and (was.default is None or now.default is not None)
        for was, now in zip(old, new, strict=False)
    )
