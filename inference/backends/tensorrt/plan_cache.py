"""Plans on disk, so that a model is compiled once per GPU and version of everything."""

import hashlib
import json
import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from inference.backends.tensorrt.blob_store import BlobStore
from inference.backends.tensorrt.build import BuildRequest
from inference.backends.tensorrt.callbacks import Cancelled
from inference.backends.tensorrt.driver import Gpu
from inference.backends.tensorrt.errors import BuildCancelledError
from inference.backends.tensorrt.library import Library
from streams.base.file_lock import file_lock

logger = logging.getLogger(__name__)

_FORMAT = 1
"""Of the key: raised when this code builds another plan from the same request."""


def plan_key(request: BuildRequest, library: Library, gpu: Gpu | None) -> str:
    """Return the SHA-256, in hexadecimal, over all that a plan depends on.

    Args:
        request: what to build, the model's bytes among it.
        library: what builds it.
        gpu: the one here; None where a plan is built for the request's compute capability.
    """
    parts = {
        "format": _FORMAT,
        "model": hashlib.sha256(request.model).hexdigest(),
        "width": request.width,
        "profiles": request.profiles,
        "precision": request.precision,
        "memory": request.memory,
        "target": request.compute_capability,
        "library": [library.flavour, library.version],
        "gpu": None if gpu is None else [gpu.name, gpu.compute_capability, gpu.driver],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class PlanCache:
    """Plans by key.

    A plan that is absent, damaged, cut short, written for another key or not this user's is built
    anew. Of several processes that need the same one, one builds and the others wait for it.

    Attributes:
        store: where they lie.
        limit: bytes that plans and their compiled kernels may take; the longest unused go first.
    """

    store: BlobStore
    limit: int

    def get(
        self, key: str, build: Callable[[], bytes], cancelled: Cancelled = lambda: False
    ) -> bytes:
        """Return the plan of a key; build and keep it where it is not there.

        Raises:
            BuildCancelledError: `cancelled` said so while another process was building.
            EngineError: see `build`.
        """
        name = f"{key}.plan"
        if (plan := self._read(name, key)) is not None:
            return plan

        def waiting() -> None:
            if cancelled():
                raise BuildCancelledError("waiting for another process's build was cancelled")

        with ExitStack() as held:
            try:
                held.enter_context(file_lock(self._lock_of(key), waiting))
            except OSError as error:
                # A read-only folder is one way to hand out built engines: what it lacks is built.
                logger.warning(
                    "can't lock the engine cache (%s): other processes may build the same engine "
                    "at the same time",
                    error,
                )
            if (plan := self._read(name, key)) is not None:
                return plan  # the one that held the lock before has built it
            logger.info("building the engine %s, to be saved in %s", key[:12], self.store.folder)
            plan = build()
            try:
                self.store.write(name, key, plan)
                self.store.evict((".plan", ".kernels"), self.limit, keep=key)
            except OSError as error:
                logger.warning(
                    "can't save the built engine in %s, the next start builds it again: %s",
                    self.store.folder,
                    error,
                )
            return plan

    def forget(self, key: str) -> None:
        """Remove a plan that turned out to be of no use."""
        try:
            self.store.remove(f"{key}.plan")
        except OSError as error:
            logger.warning("can't delete the cached engine that does not load: %s", error)

    def _read(self, name: str, key: str) -> bytes | None:
        plan = self.store.read(name, key)
        if plan is not None:
            self.store.touch(name)
        return plan

    def _lock_of(self, key: str) -> Path:
        """One of 256 files, since lock files have to stay."""
        return self.store.folder / f"build-{key[:2]}.lock"
