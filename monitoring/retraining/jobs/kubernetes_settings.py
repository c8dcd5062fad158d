"""The ``[retraining.kubernetes]`` section."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from streams.base.section import Duration, Name, Section

_DAY_MS = 86_400_000
_QUANTITY = re.compile(r"\d+(\.\d+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?")


def _quantity(text: str) -> str:
    if not _QUANTITY.fullmatch(text) or not float(re.sub(r"[A-Za-z]+$", "", text)):
        raise ValueError(f"{text!r} is no amount as Kubernetes has it: write one like '2' or '4Gi'")
    return text


Quantity = Annotated[str, AfterValidator(_quantity)]


class KubernetesSettings(Section):
    """The ``[retraining.kubernetes]`` section: the Jobs that ``runner = "kubernetes"`` begins.

    Attributes:
        image: has `weir` in it; its user is not root, and named by number.
        namespace: where the Jobs are.
        service_account: whose name their pods bear; they get no token of it.
        secret, config_map: the name of the one that holds ``weir.toml`` for them. Its other keys
            lie beside that file, in ``/etc/weir``.
        cpu, memory: of each pod, no less and no more.
        ttl_after_finished: a Job that has ended is kept so long, with its log.
    """

    image: Name
    namespace: Name = "default"
    service_account: Name = "default"
    secret: str = ""
    config_map: str = ""
    cpu: Quantity = "2"
    memory: Quantity = "4Gi"
    ttl_after_finished: Duration = Field(default=_DAY_MS, ge=60_000)

    @model_validator(mode="after")
    def _one_place_of_settings(self) -> "KubernetesSettings":
        if bool(self.secret) == bool(self.config_map):
            raise ValueError(
                "name the Secret or the ConfigMap that holds weir.toml for the jobs, by `secret` "
                "or `config_map`: one of the two"
            )
        return self
