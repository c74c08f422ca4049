"""Durable tasks for the Model Context Protocol.

`opslifecycle.protocols.mcp.server` and `.client` need the extra `mcp`; the registry, which is
`opslifecycle.protocols.mcp.tasks`, needs nothing.
"""
