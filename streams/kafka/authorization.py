"""What a cluster with ACLs does not let us do, in words that name the right and who grants it."""

from collections.abc import Sequence

from confluent_kafka import KafkaError

from streams.base.errors import UNAVAILABLE, WeirError

_KINDS = {
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "cluster",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "group",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "topic",
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "transactional-id",
}
HOW = (
    "`weir acls` prints what each process needs; someone who may change ACLs grants it, with "
    "kafka-acls.sh or `weir acls --grant`"
)


class AuthorizationError(WeirError):
    """The cluster does not let us do something; the message names the rights and how to get them.

    Args:
        missing: the rights.
        who: we, as the cluster knows us.
    """

    exit_code = UNAVAILABLE

    def __init__(self, missing: Sequence[object], who: str = "this user") -> None:
        super().__init__(f"Kafka denies {who}: {'; '.join(map(str, missing))}. {HOW}")


def is_denial(error: KafkaError) -> bool:
    """Whether it says that a right is missing; waiting does not fix that."""
    return error.code() in _KINDS


def denied_resource(error: KafkaError) -> str:
    """The type of resource that a denial is about, as ACLs spell it."""
    return _KINDS[error.code()]


def denial(error: KafkaError) -> str:
    """A denial whose resource is not known any more, in words."""
    kind = denied_resource(error).replace("-", " ")
    return f"Kafka denies the use of a {kind}: {error.str()}. {HOW}"
