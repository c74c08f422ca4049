"""A machine's rules as formulas, for independent checkers: SPIN, TLA+ and z3.

This is the third implementation of the rules, beside generated code and the interpreter. It shares
parsing and analysis with both, and the layout of values with the interpreter.
"""
