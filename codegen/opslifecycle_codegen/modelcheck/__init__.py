"""Proof: a machine's rules carried out as they are written, and every state of them looked at.

Shares the reading of machine files with the compiler, and nothing with lowering or the templates,
so that what it finds speaks about the generated code as well.
"""
