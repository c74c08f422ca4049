"""Registries in OpenTelemetry: a span for each operation, and metrics of what only the owner knows.

Needs the extra `otel`. A registry that is not instrumented imports nothing of it.
"""

from opslifecycle.telemetry.instrumenting import instrument

__all__ = ["instrument"]
