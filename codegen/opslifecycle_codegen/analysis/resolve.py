"""Stage 3, analyze, first half: declared names to typed symbols."""

from __future__ import annotations

import re

import attrs

from opslifecycle_codegen.analysis.milestones import check_milestones
from opslifecycle_codegen.analysis.refined import id_limits, refined_types
from opslifecycle_codegen.analysis.resolve_values import resolve_values
from opslifecycle_codegen.analysis.several_types import several_types
from opslifecycle_codegen.analysis.transitions import ACTION, field_name
from opslifecycle_codegen.base.diagnostics import Diagnostics, nearest
from opslifecycle_codegen.base.spellings import key_hint, type_hint
from opslifecycle_codegen.ir.feeds import feeds_transitions
from opslifecycle_codegen.ir.messages import action_words
from opslifecycle_codegen.ir.public_names import public_names
from opslifecycle_codegen.ir.symbols import (
    EnumInfo,
    MemberInfo,
    MemberOf,
    PropertyInfo,
    PropertyValue,
    Symbols,
    pascal,
)
from opslifecycle_codegen.ir.types import (
    BOOL,
    INT,
    NAME,
    SCALARS,
    STATUSES,
    STR,
    UNKNOWN,
    Type,
    fits,
    optional,
)
from opslifecycle_codegen.source import command_model, model, type_model
from opslifecycle_codegen.source.parser import is_name
from opslifecycle_codegen.source.reader import Node, Scalar
from opslifecycle_codegen.source.words import Declared, Name, Text, TypeExpr, TypeName

_INTEGER = re.compile("0|-?[1-9][0-9]{0,18}")
_ACTION_PROPERTIES = {
    "label": PropertyInfo(STR, "What messages call it."),
    "from_statuses": PropertyInfo(STATUSES, "The statuses it is legal from."),
    "idempotent_in": PropertyInfo(STATUSES, "Where rejecting it counts as a success."),
}


class Resolver:
    """Resolves types and statuses by name, and reports unknown ones."""

    def __init__(self, machine: model.Machine, diagnostics: Diagnostics) -> None:
        self._machine = machine
        self._diagnostics = diagnostics
        self._symbols = Symbols()

    def run(self) -> Symbols:
        """Return the symbols of the machine's valid declarations."""
        symbols, machine = self._symbols, self._machine
        entity = pascal(machine.entity)
        names = machine.names
        symbols.status_enum = (names and names.status) or f"{entity}Status"
        symbols.ids = {name: declared.summary for name, declared in machine.ids.items()}
        symbols.id_forms = id_limits(machine.ids, self._diagnostics)
        symbols.refined = refined_types(machine.types, self._diagnostics)
        self._declare_enum_names()
        symbols.refined |= several_types(machine, symbols, self._diagnostics)
        resolve_values(self._machine, symbols, self.type_of, self._diagnostics)
        self._enums()
        self._statuses()
        self._actions_enum()
        self._entity()
        return symbols

    def type_of(self, text: TypeExpr) -> Type:
        """Return the named type; UNKNOWN, with an error reported, if there is none."""
        word = text.strip()
        required, bar, rest = word.partition("|")
        if bar and rest.strip() == "None":
            return optional(self.type_of(TypeExpr(required.rstrip(), text.mark)))
        found = SCALARS.get(word) or self._symbols.type_named(word)
        if found is None:
            known = [*SCALARS, *self._symbols.type_names()]
            hint = type_hint(word, known)
            self._diagnostics.add(text.mark, "unknown-type", f"there is no type {word!r}", hint)
            return UNKNOWN
        return found

    # Closed sets --------------------------------------------------------------------------------

    def _declare_enum_names(self) -> None:
        for name, declared in self._machine.enums.items():
            self._symbols.enums[name] = EnumInfo(name, declared.summary, {})
        status = self._symbols.status_enum
        self._symbols.enums[status] = EnumInfo(status, "", {})
        if self._notes_actions():
            action = public_names(self._machine).action
            members = {n: MemberInfo(n, text) for n, text in action_words(self._machine).items()}
            summary = f"The actions of one {self._machine.entity.replace('_', ' ')}."
            self._symbols.enums[action] = EnumInfo(action, summary, members)

    def _notes_actions(self) -> bool:
        """Return whether records keep the action of their last transition."""
        noted = field_name(ACTION) in self._machine.fields
        return self._machine.history is not None or (feeds_transitions(self._machine) and noted)

    def _enums(self) -> None:
        for name, declared in self._machine.enums.items():
            if declared.members_from is None:
                self._enum(name, declared)
            elif declared.members or declared.properties:
                message = f"{name} has `members_from`, so it cannot declare members of its own"
                self._diagnostics.add(declared.mark, "wrong-shape", message)
            elif declared.members_from in self._symbols.unions:
                self._enum_of_union(name, declared)
            elif declared.members_from != "actions":
                hint = nearest(declared.members_from, ["actions", *self._symbols.unions])
                message = f"members cannot come from {declared.members_from!r}"
                self._diagnostics.add(declared.members_from.mark, "unknown-name", message, hint)

    def _enum(self, name: str, declared: type_model.Enum) -> None:
        if not declared.members:
            self._diagnostics.add(declared.mark, "empty-set", f"{name} has no members")
        properties = self._properties(declared.properties)
        members = {
            str(wire): MemberInfo(
                wire, member.summary, self._values_of(member, member.properties, properties)
            )
            for wire, member in declared.members.items()
        }
        self._symbols.enums[name] = EnumInfo(name, declared.summary, members, properties)

    def _enum_of_union(self, name: str, declared: type_model.Enum) -> None:
        union = self._symbols.unions[str(declared.members_from)]
        members = {
            variant.tag_value: MemberInfo(variant.tag_value, variant.summary)
            for variant in union.variants.values()
        }
        self._symbols.enums[name] = EnumInfo(name, declared.summary, members, source=union.name)

    def _properties(self, declared: dict[Name, type_model.Property]) -> dict[str, PropertyInfo]:
        return {
            name: PropertyInfo(self.type_of(each.type), each.summary)
            for name, each in declared.items()
        }

    def _values_of(
        self,
        member: Declared,
        given: dict[Name, Node],
        properties: dict[str, PropertyInfo],
    ) -> dict[str, PropertyValue]:
        keys = (each for each in attrs.fields(type(member)) if not each.metadata.get("rest"))
        known = [each.name for each in keys if each.name != "mark"] + [*properties]
        for key in given:
            if key not in properties:
                hint = key_hint(key, known)
                message = f"no property {key!r} is declared"
                self._diagnostics.add(key.mark, "unknown-key", message, hint)
        values: dict[str, PropertyValue] = {}
        for name, info in properties.items():
            node = given.get(Name(name, member.mark))
            if node is None:
                message = f"lacks the property {name!r}"
                self._diagnostics.add(member.mark, "missing-key", message)
            else:
                values[name] = self._literal(node, info.type)
        return values

    def _literal(self, node: Node, type: Type) -> PropertyValue:
        """Return the value of a property; after a reported error, an arbitrary one."""
        if isinstance(node, Scalar):
            if type == BOOL and node.plain and node.text in ("true", "false"):
                return node.text == "true"
            if type.kind == "int" and node.plain and _INTEGER.fullmatch(node.text):
                least, most = type.range
                if least <= int(node.text) <= most:
                    return int(node.text)
            if type.kind == "str" and (type.limits is None or type.limits.accepts(node.text)):
                return node.text
            if type == NAME and is_name(node.text):
                return node.text
            if type.kind == "enum":
                members = self._members_declared(type.name)
                if node.text in members:
                    return MemberOf(type.name, node.text)
                hint = nearest(node.text, members)
                message = f"{type.name} has no member {node.text!r}"
                self._diagnostics.add(node.mark, "unknown-member", message, hint)
                return ""
        self._diagnostics.add(node.mark, "wrong-type", f"expected a value of type {type}")
        return ""

    def _members_declared(self, enum: str) -> list[str]:
        for name, declared in self._machine.enums.items():
            if name == enum:
                return [str(member) for member in declared.members]
        return []

    def _statuses(self) -> None:
        declared = self._machine.statuses
        properties = {
            "terminal": PropertyInfo(BOOL, "Whether it is terminal."),
            **self._properties(declared.properties),
        }
        has_milestones = check_milestones(self._machine, self._diagnostics)
        if has_milestones:
            milestone = PropertyInfo(BOOL, "Whether it is a milestone.")
            properties = {"milestone": milestone, **properties}
        members = {}
        for wire, status in declared.members.items():
            values: dict[str, PropertyValue] = {"terminal": status.terminal}
            if has_milestones:
                values["milestone"] = status.milestone
            own = {name: info for name, info in properties.items() if name not in values}
            values.update(self._values_of(status, status.properties, own))
            members[str(wire)] = MemberInfo(wire, status.summary, values)
        name = self._symbols.status_enum
        summary = f"Where the lifecycle of one {self._machine.entity.replace('_', ' ')} stands."
        self._symbols.enums[name] = EnumInfo(name, summary, members, properties)
        real = {wire: each for wire, each in declared.members.items() if not each.pseudo}
        groups = self._symbols.status_groups
        groups["live"] = tuple(wire for wire, each in real.items() if not each.terminal)
        groups["terminal"] = tuple(wire for wire, each in real.items() if each.terminal)
        if has_milestones:
            groups["milestone"] = tuple(wire for wire, each in real.items() if each.milestone)
        for group, words in declared.groups.items():
            if group in members:
                message = f"the group {group!r} has the name of a status"
                self._diagnostics.add(group.mark, "name-collision", message)
                continue
            groups[group] = self.statuses(words.members)

    def statuses(self, words: tuple[Text, ...] | list[Name]) -> tuple[str, ...]:
        """Return the statuses that words name, with groups expanded, in declared order."""
        known = self._symbols.enums[self._symbols.status_enum].members
        declared = self._machine.statuses.members
        found: set[str] = set()
        for word in words:
            if word in self._symbols.status_groups:
                found.update(self._symbols.status_groups[word])
            elif word not in known:
                hint = nearest(word, [*known, *self._symbols.status_groups])
                message = f"there is no status {str(word)!r}"
                self._diagnostics.add(word.mark, "unknown-status", message, hint)
            elif declared[Name(word, word.mark)].pseudo:
                message = f"{word} is a pseudo status, which no record ever has"
                self._diagnostics.add(word.mark, "pseudo-status", message)
            else:
                found.add(str(word))
        return tuple(status for status in known if status in found)

    def _actions_enum(self) -> None:
        status = self._symbols.status_enum
        for name, declared in self._machine.enums.items():
            if declared.members_from != "actions":
                continue
            members = {}
            for wire, action in self._machine.actions.items():
                values: dict[str, PropertyValue] = {
                    "label": action_label(wire, action),
                    "from_statuses": _members_of(status, self.statuses(action.from_)),
                    "idempotent_in": _members_of(status, self.statuses(action.idempotent_in)),
                }
                members[str(wire)] = MemberInfo(wire, action.summary, values)
            self._symbols.enums[name] = EnumInfo(
                name, declared.summary, members, _ACTION_PROPERTIES, "actions"
            )

    # The entity and the registry ----------------------------------------------------------------

    def _entity(self) -> None:
        machine, symbols = self._machine, self._symbols
        id_name = f"{pascal(machine.entity)}Id"
        if id_name not in symbols.ids:
            message = f"a machine of {machine.entity} declares the identifier type {id_name}"
            self._diagnostics.add(machine.entity.mark, "missing-id", message)
        symbols.entity_fields = {"id": Type("id", id_name), "status": symbols.status_type}
        for name, declared in machine.fields.items():
            if name in symbols.entity_fields:
                message = f"{name} is a field that every record has"
                self._diagnostics.add(name.mark, "name-collision", message)
            symbols.entity_fields[str(name)] = type = self.type_of(declared.type)
            if name == "terminal_outcome" and (not type.optional or declared.initial is not None):
                message = f"{name} is set by the action that ends a record"
                hint = "add `| None` to its type, and remove `initial`"
                self._diagnostics.add(declared.mark, "owned-field", message, hint)
        outcome = symbols.entity_fields.get("terminal_outcome")
        if outcome is None:
            symbols.entity_fields["terminal_outcome"] = optional(symbols.status_type)
        for name, setting in machine.settings.items():
            symbols.registry_fields[str(name)] = type = self.type_of(setting.type)
            self._default_of(name, setting, type)
        for name, registry_field in machine.registry.items():
            if name in symbols.registry_fields:
                message = f"{name} is a setting already"
                self._diagnostics.add(name.mark, "name-collision", message)
            symbols.registry_fields[str(name)] = self.type_of(registry_field.type)
        self._require_feature_fields()
        self._require_identifiers()

    def _default_of(self, name: Name, setting: model.Setting, type: Type) -> None:
        """Report a setting without a value to begin with, and numbers that it does not take."""
        if setting.default is None and not type.optional:
            message = f"{name} has no value when no caller gives one"
            hint = "give it a default" if type.kind == "int" else f"its type can be `{type} | None`"
            self._diagnostics.add(setting.mark, "missing-key", message, hint)
        numbers = {"at_least": setting.at_least, "default": setting.default}
        given = {what: number for what, number in numbers.items() if number is not None}
        if given and type.required.kind != "int":
            message = f"{name} is a {type}, so it has no {' and no '.join(given)}"
            self._diagnostics.add(setting.mark, "wrong-type", message)
            return
        least, most = type.required.range
        for what, number in given.items():
            if not least <= number <= most:
                message = f"{what} of {name} is {number}, not from {least} to {most}"
                self._diagnostics.add(setting.mark, "out-of-range", message)
                return
            least = number

    def _require_identifiers(self) -> None:
        machine = self._machine
        names = [machine.feed.epoch] if machine.feed is not None else []
        if machine.barrier is not None:
            names.append(machine.barrier.request_id)
        for name in names:
            form = self._symbols.id_forms.get(name)
            if form is not None and form.is_number:
                message = f"{name} cannot be an int: registries of several processes make them"
                self._diagnostics.add(name.mark, "wrong-type", message, f"make {name} a UUID")
        if machine.barrier is not None:
            names += [TypeName(key, key.mark) for key in machine.barrier.key.values()]
            if len(machine.barrier.key) != 1:
                message = "a barrier has one key: the name and the identifier type of the waiter"
                self._diagnostics.add(machine.barrier.mark, "wrong-shape", message)
        for name in names:
            if name not in machine.ids:
                hint = nearest(name, machine.ids)
                message = f"there is no identifier type {str(name)!r}"
                self._diagnostics.add(name.mark, "unknown-type", message, hint)

    def _require_feature_fields(self) -> None:
        machine, symbols = self._machine, self._symbols
        needed = [("feed", machine.feed, "registry", "watermark"),
                  ("feed", machine.feed, "registry", "dropped_through"),
                  ("cursors", machine.cursors, "registry", "watermark"),
                  ("feed", machine.feed, "fields", "sequence"),
                  ("collect", machine.collect, "fields", "sequence")]  # fmt: skip
        for feature, declared, section, name in needed:
            if declared is None:
                continue
            fields = symbols.registry_fields if section == "registry" else symbols.entity_fields
            found = fields.get(name)
            if found is None or not fits(found, optional(INT)):
                wanted = "int" if section == "registry" else "int | None"
                message = f"{feature} needs {section}.{name} of type {wanted}"
                self._diagnostics.add(declared.mark, "missing-field", message)
        if machine.cursors is not None:
            symbols.cursor_enum = str(machine.cursors.consumer)
            if symbols.cursor_enum not in symbols.enums:
                hint = nearest(symbols.cursor_enum, symbols.enums)
                message = f"there is no closed set {symbols.cursor_enum!r}"
                self._diagnostics.add(machine.cursors.consumer.mark, "unknown-type", message, hint)


def action_label(name: str, action: command_model.Action) -> str:
    """Return the label of an action in messages: declared, else its first method, else its name."""
    return str(action.label or (action.methods[0] if action.methods else name))


def _members_of(enum: str, members: tuple[str, ...]) -> tuple[MemberOf, ...]:
    return tuple(MemberOf(enum, member) for member in members)
