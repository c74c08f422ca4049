"""What each key of a machine file says, for editors, the reference and messages."""

from __future__ import annotations

from collections.abc import Mapping

from opslifecycle_codegen.source.words import Declared

#: Keys that mean the same in every section that has them.
_EVERYWHERE = {
    "summary": "One sentence, which becomes the docstring.",
    "method": "The name of the public method.",
    "params": "The parameters, each with its type.",
    "guards": "The guards that are checked, in order.",
    "update": "New values by field: `registry.field` or a field of the record.",
    "effects": "The effects that follow the commit.",
    "from": "The statuses or groups in which it is legal.",
    "fields": "The fields, each with its type.",
    "properties": "Typed properties that every member has.",
    "type": "The type: a scalar, a declared name, or one of these and `| None`.",
    "with": "An expression for each parameter of the action.",
    "do": "The action.",
    "when": "The condition; a command is rejected if it is false.",
    "expr": "The expression.",
}

#: By section, the keys that mean something of their own there.
_SECTIONS: dict[str, dict[str, str]] = {
    "Machine": {
        "machine": "The name of the machine, in snake_case; stores and locks have it.",
        "version": "A whole number that rises when stored data changes its form.",
        "entity": "The word for one record, by which expressions read it.",
        "ids": "The types of identifiers; the one of the record is called after the entity.",
        "statuses": "The statuses of a record, and groups of them.",
        "create": "The command that creates a record.",
        "actions": "The commands on one record, by name.",
        "snapshot": "What readers see of one record.",
        "errors": "The typed errors that reject commands.",
        "guards": "Conditions of commands, each with the error if it is false.",
        "illegal_transition": "The error of an action in a status in which it is not legal.",
        "names": "Names of generated classes, where the derived ones do not fit.",
        "status": "`draft` until the machine is published; its lock then protects nothing.",
        "types": "Names for scalar types with limits.",
        "enums": "Closed sets.",
        "values": "Immutable values and tagged unions.",
        "fields": "The fields of a record, beside its id and status.",
        "unique": "Keys that no two records share, each called like the method that finds it.",
        "parent": "The field with a record's parent, which must be live when a child is created.",
        "settings": "Keyword parameters of the registry's constructor.",
        "registry": "The fields of the registry as a whole.",
        "effects": "Effects that the program applies after the commit, at least once.",
        "global_guards": "Guards of every command.",
        "default_guards": "Guards of each action that lists none.",
        "methods": "Methods that ask for the first of several actions that is legal.",
        "on_terminal": "Steps of every action that leads to a terminal status.",
        "after": "Timers by status or group: actions that follow by themselves.",
        "bulk": "Commands of the whole registry, which may end every live record.",
        "rollback": "The removal of a live record, as if it had never been created.",
        "erase": "The removal of one record in a terminal status.",
        "collect": "The removal of every finished record.",
        "watch": "The method that waits for one record to reach a terminal status.",
        "feed": "The feed of finished records, or of transitions.",
        "history": "The last transitions of each record.",
        "retention": "What is evicted of a feed that is too long.",
        "discard_when": "A condition on which a finished record is erased at once.",
        "cursors": "A position in the feed for each consumer.",
        "barrier": "The method that waits for a set of records.",
        "listing": "The method that lists snapshots.",
        "recovery": "What a store holds, and what becomes of live records when it is reopened.",
        "work": "How a supervisor records what it runs.",
        "classifiers": "Methods that answer a question about one record and change nothing.",
        "invariants": "Properties of every state.",
        "transition_invariants": "Properties of every step, of `before` and `after`.",
        "eventually": "Statuses that must stay reachable.",
        "scenarios": "The bounds of exhaustive searches.",
        "migrations": "By version, how stored data of the version before becomes this one.",
        "waivers": "Findings of the compiler that are accepted, each with the reason.",
    },
    "IdType": {
        "type": "`int` or `UUID`; without it, and without the keys below, a UUID.",
        "prefix": "What every id begins with, such as `pi_`.",
        "pattern": "A regular expression that the whole id matches.",
    },
    "Statuses": {
        "members": "The statuses by name, in the order of documentation.",
        "groups": "Names for several statuses.",
        "regions": "Parts of the status that change independently of one another, by name.",
    },
    "Region": {
        "initial": "The status that the region begins in.",
        "members": "The statuses of the region, in the order of documentation.",
    },
    "Group": {
        "members": "The statuses and the groups within it.",
        "initial": "The member that an action enters which leads to the group.",
    },
    "Status": {
        "terminal": "Whether a record has ended in it, so that no action leads out.",
        "entry": "The effects of an action that leads to it, after those of the action.",
        "exit": "The effects of an action that leads out of it, before those of the action.",
        "milestone": "Whether a record has an outcome in it, though actions lead on.",
        "pseudo": "Whether no record has it, and only classifiers return it.",
    },
    "Create": {
        "methods": "The methods that create a record, each with the parameters that it takes.",
        "id": "The id of the new record.",
        "to": "The status of the new record; without it, the initial ones of the regions.",
        "optional_methods": "Methods that implementations of the interface may leave out.",
    },
    "Action": {
        "methods": "The public methods that ask for the action; none if only timers do.",
        "while": "Statuses of further regions: one of each named region is needed, too.",
        "label": "What errors call the action, in place of its name.",
        "to": "The status that it leads to, or targets of which the first that applies is taken.",
        "outcome": "What waiters receive of a terminal status or a milestone.",
        "guards": "The guards that are checked, in order, in place of `default_guards`.",
        "returns": "What its methods return: an expression on the record as the action leaves it.",
        "idempotent_in": "Statuses in which a rejection says that it was done already.",
        "deferred": "Whether its write waits for the next commit, so that a crash may lose it.",
    },
    "Method": {
        "actions": "The actions, in the order in which they are tried.",
        "returns": "What it returns, an expression on the record as the chosen action leaves it.",
    },
    "Target": {
        "status": "The status that it leads to.",
        "also": "The statuses that it leads further regions to.",
        "from": "The statuses in which it applies; without it, all those of the action.",
        "when": "The condition on which it is taken; the last target has none.",
        "outcome": "What waiters receive of a terminal status or a milestone.",
    },
    "Parameter": {
        "default": "The value of a call that leaves the parameter out.",
        "keyword": "Whether calls pass it by its name only.",
    },
    "Snapshot": {
        "fields": "The fields, each with an expression on the record.",
        "json": "`omit_none` if fields that are None are left out of JSON.",
    },
    "ViewField": {"json": "`omit_none` or `keep_none`: whether JSON has a field that is None."},
    "Rejection": {
        "class": "The name of the error's class.",
        "message": "The message; `{field}` shows a field.",
        "fields": "The attributes of the error, each with its type.",
    },
    "Unique": {
        "fields": "The fields of the key, which no update changes.",
        "error": "The error if a record has the key; `existing` is its id.",
        "among": "`live` if a record holds the key until it finishes; by default `all`.",
    },
    "Parent": {
        "field": "The field with the id of the parent; None for a record without one.",
        "error": "The error if no live record has the id.",
    },
    "Guard": {
        "error": "The error if the condition is false, with an expression for each field.",
        "params": "Parameters, each with its type; commands have an expression for each of them.",
        "let": "Names for expressions that the condition, the error and updates use.",
    },
    "Refusal": {
        "name": "The name of the error.",
        "fields": "An expression for each field of the error.",
    },
    "Names": {
        "interface": "The protocol that registries implement.",
        "registry": "The registry.",
        "async_registry": "The registry with coroutines.",
        "base": "The base of both registries.",
        "snapshot": "The snapshot of a record.",
        "watch": "The wait for one record.",
        "status": "The closed set of the statuses.",
        "effect": "The closed set of the effects.",
        "action": "The closed set of the actions.",
        "record": "The record inside the authority.",
        "authority": "The class that decides what is legal.",
    },
    "RefinedType": {
        "minimum": "The least number; without it 0.",
        "maximum": "The greatest number.",
        "digits": "The number of digits of a Decimal, on both sides of the point.",
        "places": "The number of digits behind the point of a Decimal.",
        "max_length": "The greatest number of characters, bytes or elements.",
        "pattern": "A regular expression that the whole text matches.",
        "example": "A value, for generated tests; needed where a pattern is hard to meet.",
    },
    "Enum": {
        "members": "The members by name.",
        "members_from": "`actions`, or the name of a union, that gives the members.",
    },
    "Value": {
        "tag": "The field of JSON that says which variant a union has.",
        "variants": "The variants of a tagged union, by class.",
        "python": "The module from which the program's own class is imported.",
    },
    "ValueField": {
        "json": "The name of the field in JSON, or how None is written.",
        "checked_by": "The guard that rejects a wrong value, in place of the constructor.",
        "always": "An expression that sets the field, whatever the caller passes.",
        "default": "The value of a parameter that is not passed.",
    },
    "Variant": {"flatten": "The field whose own fields stand beside the tag in JSON."},
    "EntityField": {
        "initial": "The value of a new record; an optional field begins as None without it.",
        "stamped": "The event whose time the field holds: `created`, `terminal` or an action.",
    },
    "Setting": {
        "default": "The value if none is passed; None without it.",
        "at_least": "The least value; a lower one is raised to it.",
    },
    "RegistryField": {
        "initial": "The value of a new registry.",
        "recovered_as": "An expression on the records that gives the value after a restart.",
    },
    "Effect": {"attempts": "How many failed deliveries make a message a dead letter."},
    "Step": {"if": "The condition on which the step applies; it always does without."},
    "Timer": {
        "do": "The action that follows, without a caller.",
        "at": "The time at which it is due, in place of a duration.",
        "days": "Days after the status began.",
        "hours": "Hours after the status began.",
        "minutes": "Minutes after the status began.",
        "seconds": "Seconds after the status began.",
        "milliseconds": "Milliseconds after the status began.",
    },
    "Bulk": {
        "do": "The action that ends every live record; without it, records stay as they are.",
        "unless": "A condition on which the command does nothing.",
        "optional": "Whether implementations of the interface may leave the method out.",
    },
    "Watch": {"guards": "The guards that are checked before the wait begins."},
    "Feed": {
        "of": "`completions`, `transitions`, or the actions that enter the feed.",
        "epoch": "The type of the id of one numbering.",
        "batch": "The name of the class of what one read returns.",
        "entry": "The class of the entries, with their fields.",
        "counter": "The name of the field with the last sequence number.",
        "when": "The condition on a record on which it gets an entry.",
    },
    "FeedEntry": {
        "name": "The name of the class.",
        "fields": "The fields, each with an expression; `seq` is the sequence number.",
    },
    "History": {
        "last": "How many transitions of a record stay.",
        "params": "The parameters of actions that a transition keeps.",
    },
    "Retention": {
        "evict": "`records` or `entries`: what goes when there are too many entries.",
        "max_entries": "How many entries stay.",
        "beyond_cursors": "Whether entries go that a cursor has not passed.",
        "archive": "The methods that read evicted records, which then stay in the store.",
    },
    "Archive": {
        "get": "The name of the method that returns an evicted record by its id.",
        "since": "The name of the method that returns pages of evicted records.",
    },
    "Cursors": {
        "consumer": "The closed set of the consumers.",
        "get": "The name of the method that returns a cursor.",
        "advance": "The name of the method that moves a cursor forward.",
        "beyond": "The error of a cursor that would pass the end of the feed.",
        "cache": "The name of a class that holds every cursor.",
    },
    "Barrier": {
        "key": "The parameter that says whose barrier it is, with its type.",
        "active_per_key_max": "How many barriers of one key may be open.",
        "request_id": "The type of the id of one wait.",
        "wait": "The name of the class of the wait.",
        "result": "The name of the class of its result.",
        "token": "The name of the class that its owner holds.",
        "guards": "Guards, and checks of the set, each with its error.",
    },
    "Listing": {
        "order": "The expressions by which snapshots are ordered.",
        "filters": "Parameters that select, each with the expression that it must equal.",
        "orders": "Names for further orders; with them the method lists page by page.",
        "above": "Parameters that the values of an order must exceed, each with the order.",
        "below": "Parameters that must exceed the values of an order, each with the order.",
    },
    "Recovery": {
        "persist_if": "The condition on which a store holds a record.",
        "do": "The action that ends live records when a store is reopened; without it they go on.",
        "unless": "The condition on which a live record goes on all the same.",
    },
    "Work": {
        "register": "An expression for each parameter of the command that creates a record.",
        "start": "The action when work begins.",
        "complete": "The action when work returns.",
        "fail": "The action when work raises.",
        "cancel": "The action when work is cancelled.",
        "progress": "The action when work reports progress.",
        "stop": "The action when work is asked to stop within a grace time.",
        "time_out": "The action when the timeout of work passes; without it, `fail`.",
        "call": "What a record stores of the call that it runs, as a later process needs it.",
        "given": "Further parameters of `start`, each with its type.",
    },
    "Classifier": {
        "returns": "The expression that is the answer.",
        "of": "`record` for a question about one record, `registry` for one about the registry.",
    },
    "Invariant": {"expr": "The expression that must be true."},
    "Eventually": {
        "from": "The statuses from which it must be possible.",
        "reaches": "The statuses of which one must be reachable.",
    },
    "Scenario": {
        "entities": "How many records there are.",
        "keys": "How many keys of barriers there are.",
        "counts_max": "The greatest value that a counter reaches before the search stops there.",
        "settings": "Values of the registry's settings.",
        "bounds": "Upper bounds of expressions; states beyond them are not searched.",
        "params": "The values that are tried for a parameter.",
        "exclude": "Methods that are not called.",
        "large": "Whether the search runs only with `--all`.",
    },
    "Migration": {
        "reason": "Why the stored data changes, for readers.",
        "renames": "By part, old names with new ones.",
        "removes": "By part, the names that are gone.",
        "adds": "By part, new fields with the value that older data gets.",
        "refuses": "Whether stores of older versions cannot be opened.",
        "accepts": "By rule, the reason why a breaking change is intended.",
    },
    "Waiver": {
        "rule": "The rule of the finding.",
        "of": "The name that the finding is about.",
        "reason": "Why it is accepted.",
    },
}


def described(section: type[Declared]) -> Mapping[str, str]:
    """Return the descriptions of the keys of a section, with those that every section shares."""
    return {**_EVERYWHERE, **_SECTIONS.get(section.__name__, {})}


def sections() -> Mapping[str, Mapping[str, str]]:
    """Return the descriptions that sections have of their own, by the name of the section."""
    return _SECTIONS
