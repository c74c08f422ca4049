"""Version 1 of what generated code may import. `__all__` is the whole of it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from opslifecycle.clock import SYSTEM_CLOCK, Clock, ManualClock
from opslifecycle.errors import (
    CursorOutOfRangeError,
    InternalError,
    InvalidSpecError,
    InvalidValueError,
    OpsLifecycleError,
    OutOfRangeError,
    StoreDamagedError,
    StoreVersionError,
    UnsupportedError,
)
from opslifecycle.lazy import importing
from opslifecycle.shell.build import (
    broken_invariants,
    export_registry,
    import_registry,
    open_registry,
)
from opslifecycle.shell.codec import RecordCodec
from opslifecycle.shell.columns import SortKey
from opslifecycle.shell.commands import acting_on_all, advancing, collecting, returning
from opslifecycle.shell.context_managers import AsyncContextManager, ContextManager
from opslifecycle.shell.definitions import Definition, FeedDefinition, OutboxDefinition
from opslifecycle.shell.engine import Engine
from opslifecycle.shell.executor import Executor
from opslifecycle.shell.feed import CompletionFeed, FeedBatch
from opslifecycle.shell.history import appended
from opslifecycle.shell.inspected import Inspection
from opslifecycle.shell.opening import open_in_thread
from opslifecycle.shell.overlay import Overlay, merge
from opslifecycle.shell.pages import PageRequest, Pages
from opslifecycle.shell.permissions import Permission
from opslifecycle.shell.settings import UNSET, Setting
from opslifecycle.shell.unique_keys import claim as claim_key
from opslifecycle.shell.work import NO_BARRIER, WorkBarrier, WorkCall, WorkDefinition, WorkWatch
from opslifecycle.stores.base import RecordWrite, Store, StoreContents
from opslifecycle.stores.migration import migrated, rename, respell, respell_each
from opslifecycle.stores.schema_version import SchemaVersion
from opslifecycle.sync.barriers import Barrier
from opslifecycle.sync.waits import Wait
from opslifecycle.values.anything import Anything
from opslifecycle.values.binary import (
    bytes_from,
    bytes_text,
    check_bytes,
    optional_bytes_from,
)
from opslifecycle.values.checks import count as check_count
from opslifecycle.values.checks import exact as check_exact
from opslifecycle.values.checks import finite as check_finite
from opslifecycle.values.checks import flag as check_flag
from opslifecycle.values.checks import instance as check_instance
from opslifecycle.values.checks import integer as check_int
from opslifecycle.values.checks import limited_text as check_str
from opslifecycle.values.checks import many as check_many
from opslifecycle.values.checks import text as check_text
from opslifecycle.values.closed_set import ClosedSet
from opslifecycle.values.conversion import (
    check_storable,
    declare_union,
    encoded,
    omit_none,
    structure,
)
from opslifecycle.values.decimals import (
    EXACT,
    check_decimal,
    decimal_from,
    decimal_text,
    optional_decimal_from,
)
from opslifecycle.values.dicts import FrozenDict, check_dict, dict_from, optional_dict_from
from opslifecycle.values.documented import documented_by
from opslifecycle.values.identifiers import Identifier, IntIdentifier, TextIdentifier
from opslifecycle.values.moments import (
    check_datetime,
    check_timedelta,
    datetime_from,
    datetime_of,
    datetime_text,
    microseconds,
    milliseconds_of,
    ms_of,
    optional_datetime_from,
    optional_ms_of,
    optional_timedelta_from,
    timedelta_from,
)
from opslifecycle.values.pages import Page, PageCursor
from opslifecycle.values.plain import (
    Data,
    count_from,
    data_of,
    int_from,
    json_text,
    optional_count_from,
    optional_int_from,
    optional_str_from,
    str_from,
    text_of,
)
from opslifecycle.values.several import (
    check_frozenset,
    check_tuple,
    frozenset_from,
    frozenset_text,
    optional_frozenset_from,
    optional_tuple_from,
    tuple_from,
)
from opslifecycle.values.token import ObligationToken, mint
from opslifecycle.values.trusted import freeze, mutable_subclass

if TYPE_CHECKING:
    from opslifecycle.conformance import act_and_die, killed, store_at, stored_fields
    from opslifecycle.shell.archive import Archive, Archived, in_thread
    from opslifecycle.shell.consuming import Consumer, ThreadConsumer
    from opslifecycle.shell.messages import (
        DeadLetter,
        OutboxCommand,
        OutboxEntry,
        OutboxMessage,
        OutboxRules,
    )
    from opslifecycle.shell.outbox import Outbox
    from opslifecycle.shell.timers import Dues, Timer, TimersDefinition, later
    from opslifecycle.shell.transactions import AsyncTransaction, Transaction

__all__ = [
    "EXACT",
    "NO_BARRIER",
    "SYSTEM_CLOCK",
    "UNSET",
    "Anything",
    "Archive",
    "Archived",
    "AsyncContextManager",
    "AsyncTransaction",
    "Barrier",
    "Clock",
    "ClosedSet",
    "CompletionFeed",
    "Consumer",
    "ContextManager",
    "CursorOutOfRangeError",
    "Data",
    "DeadLetter",
    "Definition",
    "Dues",
    "Engine",
    "Executor",
    "FeedBatch",
    "FeedDefinition",
    "FrozenDict",
    "Identifier",
    "Inspection",
    "IntIdentifier",
    "InternalError",
    "InvalidSpecError",
    "InvalidValueError",
    "ManualClock",
    "ObligationToken",
    "OpsLifecycleError",
    "OutOfRangeError",
    "Outbox",
    "OutboxCommand",
    "OutboxDefinition",
    "OutboxEntry",
    "OutboxMessage",
    "OutboxRules",
    "Overlay",
    "Page",
    "PageCursor",
    "PageRequest",
    "Pages",
    "Permission",
    "RecordCodec",
    "RecordWrite",
    "SchemaVersion",
    "Setting",
    "SortKey",
    "Store",
    "StoreContents",
    "StoreDamagedError",
    "StoreVersionError",
    "TextIdentifier",
    "ThreadConsumer",
    "Timer",
    "TimersDefinition",
    "Transaction",
    "UnsupportedError",
    "Wait",
    "WorkBarrier",
    "WorkCall",
    "WorkDefinition",
    "WorkWatch",
    "act_and_die",
    "acting_on_all",
    "advancing",
    "appended",
    "broken_invariants",
    "bytes_from",
    "bytes_text",
    "check_bytes",
    "check_count",
    "check_datetime",
    "check_decimal",
    "check_dict",
    "check_exact",
    "check_finite",
    "check_flag",
    "check_frozenset",
    "check_instance",
    "check_int",
    "check_many",
    "check_storable",
    "check_str",
    "check_text",
    "check_timedelta",
    "check_tuple",
    "claim_key",
    "collecting",
    "count_from",
    "data_of",
    "datetime_from",
    "datetime_of",
    "datetime_text",
    "decimal_from",
    "decimal_text",
    "declare_union",
    "dict_from",
    "documented_by",
    "encoded",
    "export_registry",
    "freeze",
    "frozenset_from",
    "frozenset_text",
    "import_registry",
    "in_thread",
    "int_from",
    "json_text",
    "killed",
    "later",
    "merge",
    "microseconds",
    "migrated",
    "milliseconds_of",
    "mint",
    "ms_of",
    "mutable_subclass",
    "omit_none",
    "open_in_thread",
    "open_registry",
    "optional_bytes_from",
    "optional_count_from",
    "optional_datetime_from",
    "optional_decimal_from",
    "optional_dict_from",
    "optional_frozenset_from",
    "optional_int_from",
    "optional_ms_of",
    "optional_str_from",
    "optional_timedelta_from",
    "optional_tuple_from",
    "partial",
    "rename",
    "respell",
    "respell_each",
    "returning",
    "store_at",
    "stored_fields",
    "str_from",
    "structure",
    "text_of",
    "timedelta_from",
    "tuple_from",
]

#: What a machine without the feature does not need.
_PLACES = {
    "Archive": "shell.archive",
    "Archived": "shell.archive",
    "AsyncTransaction": "shell.transactions",
    "Consumer": "shell.consuming",
    "DeadLetter": "shell.messages",
    "Dues": "shell.timers",
    "Outbox": "shell.outbox",
    "OutboxCommand": "shell.messages",
    "OutboxEntry": "shell.messages",
    "OutboxMessage": "shell.messages",
    "OutboxRules": "shell.messages",
    "ThreadConsumer": "shell.consuming",
    "Timer": "shell.timers",
    "TimersDefinition": "shell.timers",
    "Transaction": "shell.transactions",
    "act_and_die": "conformance",
    "in_thread": "shell.archive",
    "killed": "conformance",
    "later": "shell.timers",
    "store_at": "conformance",
    "stored_fields": "conformance",
}

if not TYPE_CHECKING:
    __getattr__ = importing(__name__, _PLACES)
