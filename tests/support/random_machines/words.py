"""Words for names and texts: ordinary English, and words that generated code could stumble over."""

from __future__ import annotations

from opslifecycle_codegen.source.parser import NAME_MAX

from tests.support.random_machines.picking import Pick

ENTITIES = ["parcel", "job", "order", "ticket", "lamp_post", "item"]
NAMES = [
    "alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliet",
    "kilo", "lima", "mike", "november", "oscar", "papa", "quebec", "romeo", "sierra", "tango",
    "uniform", "victor", "whiskey", "xray", "yankee", "zulu",
]  # fmt: skip
#: Words that have a meaning in Python, in the runtime, in a diagram, or in generated code.
HOSTILE_NAMES = [
    "type", "checks", "created_at_ms", "records", "now_ms", "close", "register", "capture",
    "restore", "state", "list", "max", "min", "str", "int", "len", "dict", "cls", "value", "name",
    "match", "case", "print", "record", "label", "from_statuses", "seq", "store", "registry",
    "effects", "field", "set", "next", "iter", "authority", "kind", "text", "bytes", "copy",
    "result", "done", "cancel", "default", "note", "style", "click", "action", "mro", "wire",
    "member", "ended", "erase", "evict", "cursor_of", "allowed", "lock", "shell", "feed", "clock",
    "stage", "data", "body", "staged", "sum", "object", "frozenset", "isinstance", "tuple", "wait",
    "live", "terminal", "self", "class", "watch", "snapshot", "json", "weakref", "pytest", "path",
    "terminal_outcome", "sequence", "clock_offset_ms", "constant_text", "epoch_id", "unset",
]  # fmt: skip
HOSTILE_TYPES = [
    "{}Status", "{}Snapshot", "{}RegistryBase", "{}Effect", "{}Watch", "{}Record", "{}Authority",
    "{}Registry", "{}OutboxMessage", "{}DeadLetter", "{}Action", "OUTBOX", "Effects", "CODEC",
    "INVARIANTS", "STEPS", "VERSION", "DIGEST", "Any", "Self", "Path", "Enum", "Identifier",
    "Exception", "Barrier", "Store", "Registry", "ClosedSet", "Iterable", "Permission",
    "OpsLifecycleError", "LOCK", "CELLS", "ILLEGAL", "BEFORE",
]  # fmt: skip
_FILLING = "abcdefghij" * 5
TEXTS = ["A plain sentence.", "Another one.", "A third one, with a comma."]
HOSTILE_TEXTS = [
    'It ends with a "quote"', "It ends with a backslash\\", 'Three """ quotes.', "A | b || c.",
    "An escape \\x and {braces} and %s.", "`Backticks` and <b>tags</b>.", "One: two; three # four.",
    "Wait. See items.example.org", "Ünïcödé \U0001f600 — dashes…", "First.\n\nSecond.",
    "a:::b --> c",
]  # fmt: skip


class Words:
    """Gives names that no other part of one machine has, some of them hostile."""

    def __init__(self, pick: Pick, lengths: Pick) -> None:
        self._pick = pick
        self._lengths = lengths
        #: Whether some names are as long as names may be.
        self.long_names = lengths.chance(20)
        self._count = 0
        self.hostile_names = 0
        self.hostile_texts = 0
        self._names_hostile = pick.chance(35)
        self._texts_hostile = pick.chance(25)
        self.entity = pick.one(ENTITIES)
        if self._names_hostile and pick.chance(5):
            self.entity = pick.one(HOSTILE_NAMES)
            self.hostile_names += 1
        self._used = {self.entity, "id", "status"}

    @property
    def title(self) -> str:
        """The entity's name as a class name."""
        return "".join(part.capitalize() for part in self.entity.split("_"))

    def name(self) -> str:
        """A new name in snake case."""
        if self._names_hostile and self._pick.chance(8):
            word = self._pick.one(HOSTILE_NAMES)
            if word not in self._used:
                self.hostile_names += 1
                self._used.add(word)
                return word
        word = NAMES[self._count % len(NAMES)]
        if self._count >= len(NAMES):
            word = f"{word}_{self._count // len(NAMES) + 1}"
        self._count += 1
        word = self._lengthened(word, "_")
        self._used.add(word)
        return word

    def type(self, suffix: str = "") -> str:
        """A new class name."""
        if self._names_hostile and self._pick.chance(4):
            word = self._pick.one(HOSTILE_TYPES).format(self.title)
            if word not in self._used:
                self.hostile_names += 1
                self._used.add(word)
                return word
        plain = NAMES[self._count % len(NAMES)].capitalize()
        number = self._count // len(NAMES) + 1
        self._count += 1
        return self._lengthened(f"{plain}{number if number > 1 else ''}{suffix}", "Q")

    def _lengthened(self, word: str, between: str) -> str:
        """The word, or a longer one that begins with it."""
        if not self.long_names or self._lengths.chance(50):
            return word
        length = self._lengths.one([NAME_MAX, NAME_MAX, self._lengths.integer(20, NAME_MAX)])
        return max(word, (word + between + _FILLING)[:length], key=len)

    def text(self) -> str:
        """A summary."""
        if self._texts_hostile and self._pick.chance(15):
            self.hostile_texts += 1
            return self._pick.one(HOSTILE_TEXTS)
        return TEXTS[0]
