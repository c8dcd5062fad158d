"""The staged topology: features of further entities without one process that owns everything.

``route`` sends each event to where its entities are kept, ``entity`` computes the windows of one
entity, and ``join`` brings the parts together in the order of the source. Each is a function of
the partitions that it reads; see docs/topology.md.
"""

from streams.stages.entity_stage import EntityStage
from streams.stages.join_task import JoinTask
from streams.stages.joiner import Joined, Joiner
from streams.stages.label_router import LabelRouter
from streams.stages.messages import MessageError
from streams.stages.names import StageTopics
from streams.stages.router import EventRouter
from streams.stages.split import EntityPart, StagedPlan, split_plan
from streams.stages.step import StagePosition, Step
from streams.stages.tasks import EntityTask, RouteTask, StageTask

__all__ = [
    "EntityPart",
    "EntityStage",
    "EntityTask",
    "EventRouter",
    "JoinTask",
    "Joined",
    "Joiner",
    "LabelRouter",
    "MessageError",
    "RouteTask",
    "StagePosition",
    "StageTask",
    "StageTopics",
    "StagedPlan",
    "Step",
    "split_plan",
]
