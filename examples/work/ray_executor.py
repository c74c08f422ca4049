"""An executor that runs functions as tasks of Ray: Supervisor(registry, executor=RayExecutor()).

Ray decides where a task runs. A task that has begun cannot be interrupted, and is not repeated.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import ParamSpec, TypeVar

import ray

P = ParamSpec("P")
T = TypeVar("T")


class RayExecutor(Executor):
    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        # Ray would run a task whose worker died up to three times more.
        task = ray.remote(max_retries=0)(fn)
        future: Future[T] = task.remote(*args, **kwargs).future()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        ray.shutdown()
