"""The ``[shadow]`` section."""

from pydantic import Field

from streams.base.section import Duration, Name, WorkerSection

LINGER_MS = 500
"""Nobody waits for shadow scores, nor for their evidence, and each transaction costs the cluster
some of what the scorer needs of it."""


class ShadowSettings(WorkerSection):
    """The ``[shadow]`` section: `weir shadow`, which scores what candidates would have said.

    Attributes:
        group: consumer group of the shadow's workers; also the base of their transactional ids.
        max_candidates: at a time; of more, the first ones by name.
        timeout: for the answers to one batch; a candidate that takes longer is ended, and started
            again after a pause that grows.
        start_timeout: for a candidate's process until it is ready to answer.
        max_memory: of a candidate's process, in MiB of address space.
        max_lag: records of the feature log; where there are more to read, only a share of the
            events is scored, chosen by a hash of their ids, so that the shadow catches up.
        max_busy: of its time, that the worker may spend on events and on waiting for candidates.
            Beyond it only a share of the events is scored, as above. 1 is no bound, for a machine
            of its own; on that of a scorer, a tenth does it no harm that could be measured.
        niceness: how far the worker stands back for others that want the processors, 0 ... 19; its
            candidates do a little more.
        session_timeout: after this the group takes a silent member's partitions away.
        transaction_timeout: after this the cluster aborts a transaction that is still open.
    """

    group: Name = "weir-shadow"
    max_candidates: int = Field(default=8, ge=1, le=64)
    timeout: Duration = Field(default=2_000, gt=0)
    start_timeout: Duration = Field(default=120_000, gt=0)
    max_memory: int = Field(default=4_096, ge=512)
    max_lag: int = Field(default=2_000, ge=1)
    max_busy: float = Field(default=1.0, gt=0, le=1)
    niceness: int = Field(default=15, ge=0, le=19)
    session_timeout: Duration = Field(default=10_000, gt=0)
    transaction_timeout: Duration = Field(default=30_000, gt=0)
