"""Durable tasks for the Agent2Agent protocol.

`opslifecycle.protocols.a2a.server` needs the extra `a2a`; the registries, which are
`opslifecycle.protocols.a2a.tasks` and `opslifecycle.protocols.a2a.configs`, need nothing.
"""
