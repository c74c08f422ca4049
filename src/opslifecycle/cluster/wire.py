"""Commands for another host's registry as JSON text, and their answers."""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Callable, Sequence
from enum import Enum
from functools import cache, partial
from typing import Any, TypeAlias, cast, get_args, get_origin, get_type_hints

import attrs
from opslifecycle import errors
from opslifecycle.errors import (
    InternalError,
    InvalidValueError,
    OpsLifecycleError,
    UnsupportedError,
)
from opslifecycle.shell.codec import MachineCodec
from opslifecycle.shell.commands import (
    ADVANCE,
    COLLECT,
    ON_ALL,
    ON_ALL_AND_STATE,
    RETURN,
    Change,
    Command,
    Decision,
    Reply,
    Step,
    Together,
    acting_on_all,
    advancing,
    collecting,
    in_its_arguments,
    returning,
)
from opslifecycle.shell.definitions import Definition
from opslifecycle.values.conversion import structure, unstructure
from opslifecycle.values.plain import Data, Json, data_of, error_text, text_of

_ACT, _TOGETHER = "act", "together"
#: A command on one record: its id, the function that decides it and that function's arguments.
Act: TypeAlias = tuple[Any, Callable[..., Any], tuple[object, ...]]


class _OfCollecting(Enum):
    ERASE = "erase"


class Wire:
    """Converts the commands of one machine and their answers.

    Args:
        definition: The machine.
    """

    def __init__(self, definition: Definition[Any]) -> None:
        assert definition.codec is not None, "a machine without recovery has no store"
        self.codec: MachineCodec[Any] = definition.codec
        self._authority = cast("type[object]", definition.authority)
        self._id_type = definition.id_type
        module = sys.modules[self._authority.__module__]
        known = [*vars(errors).values(), *vars(module).values()]
        self._errors: dict[str, type[OpsLifecycleError]] = {
            each.__name__: each
            for each in known
            if isinstance(each, type) and issubclass(each, OpsLifecycleError)
        }

    # Commands -----------------------------------------------------------------------------------

    def of_act(self, act: Act) -> str:
        """Return the text of a command on one record."""
        return self._text(self._act_data(*act))

    def of_command(self, command: Command[Any]) -> str:
        """Return the text of another command.

        Raises:
            UnsupportedError: The command belongs to the process that owns the registry.
        """
        return self._text(self._command_data(command))

    def of_transaction(self, transaction: Together) -> str:
        """Return the text of a transaction; raises as `of_command`."""
        steps = [
            self._command_data(cast("Command[Any]", arguments[0]))
            if id is None
            else self._act_data(id, decide, arguments)
            for _, id, decide, arguments, _ in transaction.steps
        ]
        return self._text({"form": _TOGETHER, "steps": cast("list[Json]", steps)})

    def _text(self, data: Data) -> str:
        return text_of({"version": self.codec.schema.version, **data})

    def _act_data(self, id: object, decide: Callable[..., Any], given: Sequence[object]) -> Data:
        return {"id": unstructure(id), **_call(_ACT, decide, given)}

    def _command_data(self, command: Command[Any]) -> Data:
        if not command.form or command.decide is None:
            name = getattr(command.decide, "__name__", "a command of the outbox")
            raise UnsupportedError(f"{name} on a registry of another host")
        called = _call(command.form, command.decide, command.arguments)
        if command.answer is not None:
            called["answer"] = command.answer.__name__
        return called

    def request(self, text: str, request: str) -> Command[Any] | Together:
        """Return the command of a text, with a reply for the id of the request.

        Raises:
            InvalidValueError: No host with this machine has sent such a text.
        """
        own = self.codec.schema.version
        reply = Reply(request, self._encode)
        try:
            data = data_of(text)
            if data.get("version") != own:
                reason = f"expected version {own} of the machine, got {data.get('version')!r:.80}"
                raise InvalidValueError("version", f"{reason}; upgrade the host that sent it")
            if data["form"] == _TOGETHER:
                return Together([self._step(each) for each in data["steps"]], reply)
            return self._command(data, reply)
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            raise InvalidValueError("request", f"{error!r}: {text:.80}") from None

    def _step(self, data: Data) -> Step[None]:
        if data["form"] == _ACT:
            decide = self._decide(data, _decides_on_one)
            return None, structure(data["id"], self._id_type), decide, _given(decide, data), False
        return None, None, in_its_arguments, (self._command(data, None),), False

    def _command(self, data: Data, reply: Reply | None) -> Command[Any]:
        """Return the command of some data.

        `form` says which function makes it; a command on one record has none.
        """
        if data["form"] == _ACT:
            decide = self._decide(data, _decides_on_one)
            id = structure(data["id"], self._id_type)
            return _on_one(id, decide, _given(decide, data), reply)
        if data["form"] == RETURN:
            return self._returning(data, reply)
        decide = self._decide(data, _decides_on_several)
        arguments: tuple[Any, ...] = _given(decide, data)
        made: Command[Any]
        if data["form"] == COLLECT:
            made = collecting(decide, (_OfCollecting.ERASE,))
        elif data["form"] == ADVANCE:
            made = advancing(decide, *arguments)
        else:
            writes_state = {ON_ALL: False, ON_ALL_AND_STATE: True}[data["form"]]
            made = acting_on_all(decide, *arguments, writes_state=writes_state)
        return Command(made.run, made.decide, made.arguments, form=made.form, reply=reply)

    def _returning(self, data: Data, reply: Reply | None) -> Command[Any]:
        """Return a command on one record whose value its sender waits for."""
        decide = self._decide(data, _decides_on_one)
        answer = self._function(data["answer"])
        made: Command[Any] = returning(decide, answer, _given(decide, data))
        if reply is not None:
            reply = attrs.evolve(reply, encode=partial(self._encode_returned, answer.__name__))
        return attrs.evolve(made, reply=reply)

    def _decide(self, data: Data, fits: Callable[[Any], bool]) -> Callable[..., Any]:
        found = self._function(data["name"])
        if not fits(found):
            raise InvalidValueError("name", f"expected a command, got {data['name']!r:.80}")
        return found

    def _function(self, name: object) -> Callable[..., Any]:
        """Return a function of the authority."""
        found = inspect.getattr_static(self._authority, str(name), None)
        if not isinstance(found, types.FunctionType):
            raise InvalidValueError("name", f"expected a command, got {name!r:.80}")
        return found

    # Answers ------------------------------------------------------------------------------------

    def _encode(self, value: object, changes: Sequence[Change[Any]]) -> str:
        if isinstance(value, OpsLifecycleError):
            return self.of_error(value)
        try:
            if isinstance(value, list):
                # Bodies, because a reader finds the type of an outcome in its record alone.
                bodies = [list(self.codec.serialize(record)[::2]) for record, _ in changes]
                return text_of({"collected": cast("Json", bodies)})
            return text_of({"value": unstructure(value)})
        except Exception as error:  # the committer's thread must go on
            return self.of_error(InternalError(error_text(error, repr)))

    def _encode_returned(self, answer: str, value: object, changes: Sequence[Change[Any]]) -> str:
        """Return the answer with a value, whose type the function that returned it knows."""
        if isinstance(value, OpsLifecycleError):
            return self.of_error(value)
        try:
            return text_of({"value": unstructure(value), "answer": answer})
        except Exception as error:  # as above
            return self.of_error(InternalError(error_text(error, repr)))

    def of_error(self, error: OpsLifecycleError) -> str:
        """Return the text of an answer that rejects a command."""
        try:
            data: Data = {
                "error": type(error).__name__,
                "arguments": [unstructure(each) for each in error.args],
                "guard": error.guard,
                "already_done": error.already_done,
                "command_index": error.command_index,
            }
            return text_of(data)
        except Exception as unknown:  # as above
            return text_of({"error": "InternalError", "arguments": [repr(unknown)]})

    def answer(self, text: str) -> object:
        """Return the value of an answer, or the error."""
        data = data_of(text)
        if "error" in data:
            return self._error(data)
        if "collected" in data:
            records = [self.codec.deserialize(id, body) for id, body in data["collected"]]
            return [(each.id, each.terminal_outcome) for each in records]
        if "answer" in data:
            return self._returned(data)
        return data["value"]

    def _returned(self, data: Data) -> object:
        try:
            return structure(data["value"], _hints(self._function(data["answer"]))["return"])
        except (LookupError, TypeError, ValueError, NameError) as unknown:
            return InternalError(f"an answer of another host: {unknown!r}")

    def _error(self, data: Data) -> OpsLifecycleError:
        kind = self._errors.get(data["error"])
        try:
            if kind is None:
                raise LookupError(data["error"])
            hints = get_type_hints(kind.__init__)
            arguments = [
                structure(each, hints.get(name, object))
                for name, each in zip(kind.field_names, data["arguments"], strict=True)
            ]
            error = kind(*arguments)
        except (LookupError, TypeError, ValueError, NameError) as unknown:
            return InternalError(f"an answer of another host: {unknown!r}")
        error.guard = data.get("guard")
        error.already_done = bool(data.get("already_done"))
        if data.get("command_index") is not None:
            error.of_command(data["command_index"])
        return error


def _on_one(
    id: object, decide: Callable[..., Any], arguments: tuple[object, ...], reply: Reply | None
) -> Command[None]:
    def run(authority: Any) -> Decision[None, Any]:
        effects = decide(authority, *arguments)
        if isinstance(effects, OpsLifecycleError):
            return effects, (), False
        return None, [(authority.records[id], effects)], True

    return Command(run, decide, arguments, has_value=False, reply=reply)


def _call(form: str, decide: Callable[..., Any], given: Sequence[object]) -> Data:
    arguments = [unstructure(each) for each in given]
    return {"form": form, "name": decide.__name__, "arguments": arguments}


def _given(decide: Callable[..., Any], data: Data) -> tuple[object, ...]:
    hints = _hints(decide)
    kinds = [kind for name, kind in hints.items() if name != "return"]
    pairs = zip(data["arguments"], kinds, strict=True)
    return tuple(structure(each, kind) for each, kind in pairs)


@cache
def _hints(decide: Callable[..., Any]) -> dict[str, Any]:
    return get_type_hints(decide)


def _decides_on_one(decide: Callable[..., Any]) -> bool:
    kinds = get_args(_hints(decide).get("return"))
    return OpsLifecycleError in kinds and any(get_origin(each) is tuple for each in kinds)


def _decides_on_several(decide: Callable[..., Any]) -> bool:
    kind = _hints(decide).get("return")
    return int in get_args(kind) or list in (get_origin(kind), *map(get_origin, get_args(kind)))
