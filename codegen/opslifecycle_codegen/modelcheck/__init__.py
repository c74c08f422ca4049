"""The model checker: an interpreter of machines, and searches of all states that it reaches.

It shares parsing and analysis with the compiler, and nothing with lowering or the templates.
Generated code is compared with it, so an error of the lowering shows as a difference.
"""
