"""Asking the cluster, before anything is begun, whether we have the rights that we need."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from time import monotonic, sleep
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AclBinding, AdminClient

from streams.base.errors import WeirError
from streams.kafka.authorization import AuthorizationError, denied_resource, is_denial
from streams.kafka.client import KafkaSettings
from streams.kafka.rights.acl import Acl

_TIMEOUT_S = 30.0
_SETTLED_S = 0.5
_AGAIN_S = 0.1


class RightsError(WeirError, ValueError):
    """ACLs can't be set; the message says why."""


def check_rights(admin: AdminClient, acls: Sequence[Acl], who: str) -> None:
    """Refuse to begin without these rights.

    Topics and groups are asked for, by name. Transactional ids can't be asked for, nor can what is
    not there yet. A cluster without an authorizer denies nothing.

    Raises:
        AuthorizationError: some are missing; all of them are named.
        KafkaException: the cluster failed.
    """
    deadline = monotonic() + _SETTLED_S
    # What was granted a moment ago may not be known to every broker.
    while missing := _missing(admin, acls):
        if monotonic() > deadline:
            raise AuthorizationError(missing, who)
        sleep(_AGAIN_S)


@contextmanager
def named_denials(kafka: KafkaSettings, acls: Sequence[Acl]) -> Iterator[None]:
    """Name the right where one is taken away in the midst of work that needs `acls`.

    Raises:
        AuthorizationError: in place of the client's own error.
    """
    try:
        yield
    except KafkaException as error:
        if not is_denial(error.args[0]):
            raise
        kind = denied_resource(error.args[0])
        lost: list[Acl] = []
        with suppress(KafkaException):
            lost = _missing(AdminClient(kafka.client_config()), acls)
        if kind not in {acl.resource for acl in lost}:
            # What can't be asked for, or was granted again meanwhile.
            lost += [acl for acl in acls if acl.resource == kind]
        raise AuthorizationError(lost or [error.args[0].str()], kafka.who) from error


def _missing(admin: AdminClient, acls: Sequence[Acl]) -> list[Acl]:
    literal = [acl for acl in acls if acl.pattern == "literal"]
    topics = sorted({acl.name for acl in literal if acl.resource == "topic"})
    groups = sorted({acl.name for acl in literal if acl.resource == "group"})
    allowed: dict[tuple[str, str], Any] = {}
    if topics:
        described = admin.describe_topics(
            TopicCollection(topics), include_authorized_operations=True, request_timeout=_TIMEOUT_S
        )
        allowed |= {("topic", name): _allowed(answer) for name, answer in described.items()}
    if groups:
        described = admin.describe_consumer_groups(
            groups, include_authorized_operations=True, request_timeout=_TIMEOUT_S
        )
        allowed |= {("group", name): _allowed(answer) for name, answer in described.items()}
    missing = []
    for acl in literal:
        operations = allowed.get((acl.resource, acl.name))
        if operations is not None and acl.kafka_operation not in operations:
            missing.append(acl)
    return missing


def _allowed(answer: "Future[Any]") -> Any:
    """Operations that are allowed; None where the cluster knows nothing of it."""
    try:
        return answer.result(_TIMEOUT_S).authorized_operations
    except KafkaException as error:
        if is_denial(error.args[0]):
            return ()
        if error.args[0].code() in (
            KafkaError.UNKNOWN_TOPIC_OR_PART,
            KafkaError.GROUP_ID_NOT_FOUND,
        ):
            return None
        raise


def grant(admin: AdminClient, acls: Sequence[AclBinding]) -> None:
    """Add ACLs to the cluster; those that it has already are no error.

    Raises:
        AuthorizationError: `admin` may not change ACLs.
        KafkaException: the cluster failed, or has no authorizer.
    """
    for added in admin.create_acls(list(acls), request_timeout=_TIMEOUT_S).values():
        try:
            added.result(_TIMEOUT_S)
        except KafkaException as error:
            if is_denial(error.args[0]):
                raise AuthorizationError(["Alter on the cluster"]) from error
            if error.args[0].code() == KafkaError.SECURITY_DISABLED:
                raise RightsError(
                    "this cluster has no authorizer, so everybody may do everything: there is "
                    "nothing to grant"
                ) from error
            raise
