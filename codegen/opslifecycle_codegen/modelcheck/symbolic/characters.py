"""Texts in formulas: a text is a number, and what it is made of a function of that number.

Of the texts that rules name, the functions are known. Of any other they may return anything that
the type allows, so that a proof holds whatever they return.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from opslifecycle_codegen.ir.expr import Expression, Literal, nodes_of
from opslifecycle_codegen.modelcheck.symbolic.shapes import Shapes
from opslifecycle_codegen.modelcheck.symbolic.terms import (
    Formula,
    Term,
    applied,
    at_most,
    ite,
    same,
)

#: Returns the value of a function of a text that no rule names.
Unknown = Callable[..., Formula]


class Characters:
    """The lengths and parts of texts.

    Args:
        shapes: The numbers of texts.
    """

    def __init__(self, shapes: Shapes) -> None:
        self._shapes = shapes
        self.unknown: Unknown = applied
        #: The texts that rules name, where one of them may be stored.
        self.named: dict[str, int] = {}

    def name(self, trees: Iterable[Expression]) -> None:
        """Note the texts that expressions name."""
        for tree in trees:
            for node in nodes_of(tree):
                if isinstance(node, Literal) and isinstance(node.value, str):
                    self.named[node.value] = self._shapes.text(node.value)

    def length(self, text: Formula, most: int) -> Formula:
        """Return the length of a text, or of bytes."""

        def other(shape: Term) -> Formula:
            length = self.unknown("length", shape)
            return ite(at_most(0, length), ite(at_most(length, most), length, most), 0)

        return self._of(text, len, other)

    def has_affix(self, text: Formula, method: str, affix: str) -> Formula:
        """Return whether a text starts or ends with another."""
        test = str.startswith if method == "startswith" else str.endswith
        name = f"{method} {affix}"
        return self._of(
            text, lambda known: test(known, affix), lambda e: self.unknown(name, e, is_bool=True)
        )

    def contains(self, text: Formula, part: Formula) -> Formula:
        """Return whether a text is a part of another."""

        def within(part: Formula) -> Callable[[Term], Formula]:
            return lambda shape: self.unknown("contains", shape, part, is_bool=True)

        if isinstance(part, Term):
            if part.op == "ite":
                test, *sides = part.args
                return ite(test, *(self.contains(text, each) for each in sides))
            return self.unknown("contains", text, part, is_bool=True)
        word = self._shapes.known_text(part)
        return self._of(text, lambda known: word in known, within(part))

    def _of(
        self, text: Formula, known: Callable[[str], Formula], other: Callable[[Term], Formula]
    ) -> Formula:
        """Return the value of a function of a text, whichever the text is."""
        if not isinstance(text, Term):
            return known(self._shapes.known_text(text))
        if text.op == "ite":
            test, *sides = text.args
            return ite(test, *(self._of(each, known, other) for each in sides))
        found = other(text)
        for word, number in self.named.items():
            found = ite(same(text, number), known(word), found)
        return found
