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
from opslifecycle_codegen.ir.parameters import NO_DEFAULTS, in_call_order, omissible
from opslifecycle_codegen.ir.parts import METHODS, methods_of
from opslifecycle_codegen.ir.program import Command, Program
from opslifecycle_codegen.ir.types import Type
from opslifecycle_codegen.ir.views import BY_ID, Rule


@frozen
class Parameter:
    """A parameter of a method; without a default, every call passes it."""

    name: str
    type: str
    default: str | None = None
    #: Whether calls pass it by its name only.
    keyword: bool = False

    def __str__(self) -> str:
        shown = f"{self.name}: {self.type}" if self.type else self.name
        return shown if self.default is None else f"{shown} = {self.default}"


@frozen
class Signature:
    """A public method: its parameters in order, and the type of its result; empty if unknown."""

    parameters: tuple[Parameter, ...] = ()
    returns: str = ""

    def __str__(self) -> str:
        shown = f"({', '.join(_with_star(self.parameters))})"
        return f"{shown} -> ({self.returns})" if self.returns else shown


def _with_star(parameters: Sequence[Parameter]) -> Iterator[str]:
    """Yield parameters as Python has them, with `*` before the first that is passed by name."""
    has_star = False
    for each in parameters:
        if each.keyword and not has_star:
            has_star = True
            yield "*"
        yield str(each)


def signatures(program: Program, names: Renames) -> dict[str, Signature]:
    """Return the public methods with their parameters, in the names of a newer version."""
    machine, create = program.machine, program.create
    found: dict[str, Signature] = {}
    for method, words in machine.create.methods.items():
        taken = {str(word): create.params[str(word)] for word in words}
        parameters = _parameters(create_word(machine), taken, create, names)
        found[str(method)] = Signature(tuple(parameters))
    id = Parameter("id", "")
    for action in program.actions:
        declared = next(a for n, a in machine.actions.items() if n == action.name)
        parameters = _parameters(action.name, action.params, action, names)
        signature = Signature((id, *parameters), _value(action.returns, names))
        found.update(dict.fromkeys(map(str, declared.methods), signature))
    for choice in program.choices:
        first = choice.first
        parameters = _parameters(first.name, first.params, first, names)
        found[choice.name] = Signature((id, *parameters), _value(choice.returns, names))
    for bulk in program.bulk:
        command = bulk.command
        acts = bulk.action or command.name
        parameters = _parameters(acts, command.params, command, names)
        found[command.name] = Signature(tuple(parameters))
    for rule in program.classifiers:
        parameters = _parameters(rule.name, rule.params, rule, names)
        of = (id,) if rule.of_record else ()
        found[rule.name] = Signature((*of, *parameters), bare(names.type(rule.type)))
    for key in program.unique:
        types = {name: type.required for name, type in key.fields.items()}
        parameters = _parameters(key.name, types, None, names)
        found[key.name] = Signature(tuple(parameters))
    if machine.listing is not None:
        found[str(machine.listing.method)] = Signature(tuple(_listing(program, names)))
        if machine.retention is not None and machine.retention.archive is not None:
            since = str(machine.retention.archive.since)
            found[since] = Signature(tuple(_listing(program, names, orders=False)))
    for name in methods_of(program):
        found.setdefault(name, Signature())
    return {names.name(METHODS, name): each for name, each in found.items()}


def _value(tree: Expression | None, names: Renames) -> str:
    """Return the type of what an action returns; empty for one that returns nothing."""
    return bare(names.type(tree.type)) if tree is not None else ""


def _listing(program: Program, names: Renames, *, orders: bool = True) -> Iterator[Parameter]:
    """Yield the parameters of a listing: its filters, and what its pages add.

    An archive has the same filters and bounds, and no `orders`.
    """
    views = program.views
    types = {name: bare(names.type(type)) for name, type, _ in views.filters}
    if views.pages is not None:
        bounds = views.pages.bounds().items()
        types |= {name: bare(names.type(type)) for name, type in bounds}
    if views.pages is not None and orders:
        types["order_by"] = " or ".join([BY_ID, *(name for name, _ in views.pages.orders)])
    yield from (Parameter(name, type, "None") for name, type in types.items())


def _parameters(
    word: str, types: Mapping[str, Type], command: Command | Rule | None, names: Renames
) -> Iterator[Parameter]:
    """Yield the parameters of a method in the order of its signature."""
    defaults = command.defaults if command is not None else NO_DEFAULTS
    keywords = (command.keywords if command is not None else frozenset()) & types.keys()
    may_omit, today = omissible(types, defaults, keywords), names.name(ACTIONS, word)
    for name in in_call_order(types, keywords):
        default = None
        if name in may_omit:
            default = notation(names.tree(defaults[name])) if name in defaults else "None"
        type = bare(names.type(types[name]))
        yield Parameter(names.argument(today, name), type, default, name in keywords)


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
    after = {each.name: each for each in new.parameters}
    for was in old.parameters:
        now = after.pop(was.name)
        if was.keyword and not now.keyword:
            yield Change("parameter-added", f"{method} takes {now.name} by its place, too")
        if was.default is None and now.default is not None:
            yield Change("parameter-added", f"{method} may be called without {now.name}")
        elif was.default != now.default:
            subject = f"the default of {now.name} in {method}"
            yield Change("default-changed", f"{subject} was {was.default} and is {now.default}")
    for added in after.values():
        yield Change("parameter-added", f"{method} gains the parameter {added}")


def _takes_calls_of(new: Sequence[Parameter], old: Sequence[Parameter]) -> bool:
    """Return whether every call with the old parameters is one with the new ones."""
    by_place = [each for each in old if not each.keyword]
    after = {each.name: each for each in new}
    kept = all(
        each.name in after
        and each.type == after[each.name].type
        and (each.default is None or after[each.name].default is not None)
        for each in old
    )
    in_place = [each.name for each in new if not each.keyword][: len(by_place)]
    known = {each.name for each in old}
    free = all(each.default is not None for each in new if each.name not in known)
    return kept and free and in_place == [each.name for each in by_place]
