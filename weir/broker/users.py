"""Users of the broker who log in with a password."""

from collections.abc import Mapping

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from weir.broker.errors import BrokerError

_ITERATIONS = 8_192
_TIMEOUT_S = 30.0


def set_passwords(client: Mapping[str, str], users: Mapping[str, str]) -> None:
    """Let users log in with SCRAM-SHA-512 and these passwords from now on.

    Args:
        client: librdkafka's settings to connect with.

    Raises:
        BrokerError: the broker does not let `client` do so.
    """
    if not users:
        return
    how = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, _ITERATIONS)
    changes = [
        UserScramCredentialUpsertion(name, how, password.encode())
        for name, password in users.items()
    ]
    admin = AdminClient({"log_level": 0, **client})
    try:
        for changed in admin.alter_user_scram_credentials(changes).values():
            changed.result(_TIMEOUT_S)
    except KafkaException as error:
        raise BrokerError(
            f"broker.scram_passwords can't be set: {error.args[0].str()}: let broker.client log in "
            "as one of super.users"
        ) from error
