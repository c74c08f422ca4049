"""A machine's rules as formulas, for checkers that are not ours: SPIN, TLA+ and z3.

The third reading of a machine file, beside the compiler's and the interpreter's: it shares the
parser and the analyzer with them, and the layout of values with the interpreter.
"""
