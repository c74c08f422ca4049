"""Stage 3, analyze: the default values of parameters and of the fields of values."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence

from opslifecycle_codegen.analysis.expressions import compile_expression
from opslifecycle_codegen.base.diagnostics import Diagnostics
from opslifecycle_codegen.ir import expr as nodes
from opslifecycle_codegen.ir.expr import Expression, nodes_of
from opslifecycle_codegen.ir.scope import Scope
from opslifecycle_codegen.ir.symbols import Symbols
from opslifecycle_codegen.ir.types import Type
from opslifecycle_codegen.source import command_model, type_model
from opslifecycle_codegen.source.words import Expr, Name


class Defaults:
    """Checks default values: constants of the type that they stand for."""

    def __init__(self, symbols: Symbols, found: Diagnostics) -> None:
        self._symbols = symbols
        self._diagnostics = found

    def of_parameters(
        self, declared: Mapping[Name, command_model.Parameter], types: Mapping[str, Type]
    ) -> dict[str, Expression]:
        """Return the defaults of parameters by their names."""
        found = {
            str(name): self._compiled(each.default, types[str(name)])
            for name, each in declared.items()
            if each.default is not None
        }
        return {name: tree for name, tree in found.items() if tree is not None}

    def of_method(
        self, words: Sequence[Name], types: Mapping[str, Type],
        defaults: Mapping[str, Expression], keywords: Collection[str] = (),
    ) -> None:  # fmt: skip
        """Report a parameter of a method that every call passes behind one that calls may omit."""
        defaulted = ""
        for word in words:
            if word in keywords:
                # Its place in a call is free.
                continue
            type = types.get(str(word))
            if word in defaults:
                defaulted = defaulted or str(word)
            elif defaulted and type is not None and not type.optional:
                message = f"{word} has no default but comes after {defaulted}, which has one"
                hint = f"move {word} before {defaulted}, or give it a default"
                self._diagnostics.add(word.mark, "field-order", message, hint)

    def of_field(self, declared: type_model.ValueField, type: Type) -> Expression | None:
        """Return the default of a field of a value; None for a field without."""
        if declared.default is None:
            return None
        return self._compiled(declared.default, type)

    def _compiled(self, expr: Expr, type: Type) -> Expression | None:
        word = expr.strip()
        if type.required.kind == "str" and word not in _CONSTANTS:
            if word.isidentifier():
                # As a member of a closed set is: there are no names that it could be taken for.
                expr = Expr(repr(word), expr.mark, precise=False)
            elif word[0] not in "'\"(":
                message = "expected one word, or a text in quotes"
                hint = f"write {json.dumps(repr(word), ensure_ascii=False)}"
                self._diagnostics.add(expr.mark, "expression-syntax", message, hint)
                return None
        tree = compile_expression(expr, Scope(self._symbols, {}), self._diagnostics, type)
        if tree is not None and any(isinstance(each, nodes.Construct) for each in nodes_of(tree)):
            # Python computes a default once, where it may not know the class yet.
            message = f"{word} cannot be a default: it makes a value of a union"
            hint = "a default is a number, a text, a member, a time or None"
            self._diagnostics.add(expr.mark, "expression-form", message, hint)
        return tree


#: Words that are no texts.
_CONSTANTS = ("None", "True", "False", "true", "false")


def keywords_of(declared: Mapping[Name, command_model.Parameter]) -> frozenset[str]:
    """Return the parameters that calls pass by name only."""
    return frozenset(str(name) for name, each in declared.items() if each.keyword)
