"""The definition of a machine in its generated package."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

import attrs
from opslifecycle.shell.authority import RecordT
from opslifecycle.shell.codec import MachineCodec
from opslifecycle.shell.commands import Answer, Change, Decide
from opslifecycle.shell.feed import Entry, EntryT_co, FeedBatch
from opslifecycle.shell.fitting import check_contents
from opslifecycle.shell.pages import Pages
from opslifecycle.shell.settings import Setting
from opslifecycle.stores.schema_version import SchemaVersion
from opslifecycle.values.identifiers import Identifier

if TYPE_CHECKING:
    from opslifecycle.shell.messages import OutboxRules
    from opslifecycle.shell.timers import TimersDefinition

EpochT_co = TypeVar("EpochT_co", bound=Identifier, covariant=True)
#: Constructs the authority of a machine from its settings. An authority has only the members of
#: `Authority` that the features of its machine need.
NewAuthority: TypeAlias = Callable[..., Any]


@attrs.frozen(kw_only=True, eq=False, repr=False)
class FeedDefinition(Generic[EntryT_co, EpochT_co]):
    """The feed of a machine; generated.

    Attributes:
        entry_of: Returns the entry of a finished record.
        batch: The class of the batches that readers get.
        epoch: The class of the epoch.
        rows_max: Returns how many entries an authority retains; None to retain all.
        held_by_cursors: Whether an entry that not every cursor has passed is retained in any case.
        of_transitions: Whether entries are of transitions, so that records change after them.
        snapshot_of: Returns the snapshot of an archived record with its number of watches; None if
            records that are evicted are not archived.
    """

    entry_of: Callable[..., EntryT_co]
    batch: type[FeedBatch[EntryT_co]]
    epoch: type[EpochT_co]
    rows_max: Callable[..., int] | None = None
    held_by_cursors: bool = False
    of_transitions: bool = False
    snapshot_of: Callable[..., object] | None = None


@attrs.frozen(kw_only=True, eq=False, repr=False)
class OutboxDefinition:
    """The outbox of a machine; generated.

    Attributes:
        rules: The attempts of each effect, and the action of each function of the authority.
        effects: The machine's effects.
        actions: The machine's actions.
        snapshot_of: Returns the snapshot of a record with its number of watches.
        body_of: Returns the stored text of a record; None for a machine without a store.
    """

    rules: OutboxRules
    effects: type[Enum]
    actions: type[Enum]
    snapshot_of: Callable[..., object]
    body_of: Callable[..., str] | None = None


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Definition(Generic[RecordT]):
    """The parts of a machine that its registries are built from; generated.

    Attributes:
        authority: Constructs the authority.
        id_type: The type of the id of a record.
        listing_keys: Returns the filter properties of a record.
        pages: The orders of the listing's pages; None for a listing without pages.
        settings: The settings of the constructor.
        feed: The feed; None if the machine has none.
        outbox: The outbox; None if the machine has no effects of its own.
        codec: The conversion of records; None for a machine without recovery, which has no store.
        terminate: The function of the authority that finishes all live records at recovery.
        discard: The function of the authority that rolls one live record back at recovery.
    """

    authority: NewAuthority
    id_type: type[object]
    listing_keys: Callable[[RecordT], tuple[Hashable, ...]]
    pages: Pages[RecordT] | None = None
    settings: tuple[Setting, ...] = ()
    feed: FeedDefinition[Entry, Identifier] | None = None
    outbox: OutboxDefinition | None = None
    timers: TimersDefinition | None = None
    codec: MachineCodec[RecordT] | None = None
    terminate: Decide[Sequence[Change[RecordT]]] | None = None
    discard: Decide[Answer] | None = None

    @property
    def schema(self) -> SchemaVersion:
        """The machine and its version, with the check of what a migration has made."""
        assert self.codec is not None, "a machine without recovery has no store"
        return attrs.evolve(self.codec.schema, check=partial(check_contents, self))


#: The definition of a machine that its user does not know.
AnyDefinition: TypeAlias = Definition[Any]
