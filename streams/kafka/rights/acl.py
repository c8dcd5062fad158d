"""One thing that a process has to be allowed on a cluster with ACLs."""

from dataclasses import dataclass, field
from typing import Literal

from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

Operation = Literal["Alter", "Create", "Delete", "Describe", "DescribeConfigs", "Read", "Write"]
Resource = Literal["topic", "group", "transactional-id"]
Pattern = Literal["literal", "prefixed"]

_RESOURCE_TYPES = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "transactional-id": ResourceType.TRANSACTIONAL_ID,
}
_OPERATIONS = {
    "Alter": AclOperation.ALTER,
    "Create": AclOperation.CREATE,
    "Delete": AclOperation.DELETE,
    "Describe": AclOperation.DESCRIBE,
    "DescribeConfigs": AclOperation.DESCRIBE_CONFIGS,
    "Read": AclOperation.READ,
    "Write": AclOperation.WRITE,
}


@dataclass(frozen=True)
class Acl:
    """One thing that a process has to be allowed.

    Attributes:
        pattern: with ``prefixed``, all resources whose names begin with `name`.
        why: what the process does with it.
    """

    operation: Operation
    resource: Resource
    name: str
    pattern: Pattern = "literal"
    why: str = field(default="", compare=False)

    def __str__(self) -> str:
        kind = self.resource.replace("-", " ")
        like = "whose name begins with " if self.pattern == "prefixed" else ""
        return f"{self.operation} on {kind} {like}{self.name!r}"

    @property
    def kafka_operation(self) -> AclOperation:
        """The operation in the client's words."""
        return _OPERATIONS[self.operation]

    def binding(self, principal: str) -> AclBinding:
        """What the client grants to a principal such as ``User:scorer``, from any host."""
        patterns = {
            "literal": ResourcePatternType.LITERAL,
            "prefixed": ResourcePatternType.PREFIXED,
        }
        return AclBinding(
            _RESOURCE_TYPES[self.resource],
            self.name,
            patterns[self.pattern],
            principal,
            "*",
            self.kafka_operation,
            AclPermissionType.ALLOW,
        )
