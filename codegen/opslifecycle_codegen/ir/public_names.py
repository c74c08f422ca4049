"""Public class names of generated code: declared, or derived from the entity's name."""

from __future__ import annotations

from attrs import frozen

from opslifecycle_codegen.ir.naming import built_in_methods, variable
from opslifecycle_codegen.ir.symbols import pascal
from opslifecycle_codegen.source.model import Machine


@frozen
class PublicNames:
    """The class names of one machine."""

    entity: str
    #: The name of a record in generated code.
    variable: str
    entities: str
    id: str
    interface: str
    registry: str
    async_registry: str
    base: str
    #: The interface of reads and waits, which registries of both kinds implement.
    reads: str
    snapshot: str
    watch: str
    status: str
    effect: str
    #: The closed set of the actions, which outbox messages name.
    action: str
    #: One entry of the history of a record.
    transition: str
    #: The closed set of the orders of pages.
    order: str
    outbox_message: str
    dead_letter: str
    record: str
    authority: str
    #: The built-in methods, each with its name in this machine.
    own: dict[str, str]


def public_names(machine: Machine) -> PublicNames:
    """Return the declared names; omitted ones are derived from the entity's name."""
    title = pascal(machine.entity)
    given = machine.names

    def name(key: str, default: str) -> str:
        return str((given and getattr(given, key)) or default)

    return PublicNames(
        entity=str(machine.entity),
        variable=variable(machine.entity),
        entities=f"{machine.entity}s",
        id=f"{title}Id",
        interface=name("interface", f"Abstract{title}Registry"),
        registry=name("registry", f"{title}Registry"),
        async_registry=name("async_registry", f"Async{title}Registry"),
        base=name("base", f"{title}RegistryBase"),
        reads=f"{title}Reads",
        snapshot=name("snapshot", f"{title}Snapshot"),
        watch=name("watch", f"{title}Watch"),
        status=name("status", f"{title}Status"),
        effect=name("effect", f"{title}Effect"),
        action=name("action", f"{title}Action"),
        transition=f"{title}Transition",
        order=f"{title}Order",
        outbox_message=f"{title}OutboxMessage",
        dead_letter=f"{title}DeadLetter",
        record=name("record", f"{title}Record"),
        authority=name("authority", f"{title}Authority"),
        own=built_in_methods(machine),
    )
