"""What no command may undercut, whoever gives it: bounds for policies that come from outside."""

from pydantic import Field, model_validator

from inference.packages.thresholds import Thresholds
from inference.policy.policy import DECISIONS, Decision, Policy, PolicyError, PolicySettings
from streams.base.section import Duration, Section, format_duration


class PolicyFloor(Section):
    """The ``[policy_floor]`` section: bounds for policies that are set by a command.

    The settings' own ``[policy]`` stands above it: who may write that file may write this one.

    Attributes:
        fallbacks: what a policy may decide where there is no time for the model.
        min_deadline: the shortest deadline; with a shorter one the fallback decides everything.
        min_alert_rate: the smallest share of events, as on the model's hold-out rows, that has to
            be reviewed or declined for its fraud probability. 0 allows policies that flag nothing.
        max_alert_rate: the largest share.
    """

    fallbacks: tuple[Decision, ...] = Field(default=("review", "decline"), min_length=1)
    min_deadline: Duration = 20
    min_alert_rate: float = Field(default=1e-6, ge=0, lt=1)
    max_alert_rate: float = Field(default=1.0, gt=0, le=1)

    @model_validator(mode="after")
    def _is_a_range(self) -> "PolicyFloor":
        if self.min_alert_rate > self.max_alert_rate:
            raise ValueError("min_alert_rate is above max_alert_rate: no policy could be set")
        return self

    def check(self, policy: Policy, thresholds: Thresholds) -> None:
        """Refuse a policy that undercuts these bounds with a model.

        Raises:
            PolicyError: names the key of the policy, and that of the floor.
        """
        said = policy.settings
        problem = ""
        if DECISIONS[policy.fallback] not in self.fallbacks:
            allowed = " or ".join(self.fallbacks)
            problem = f"fallback = {said.fallback!r}: policy_floor.fallbacks allows {allowed}"
        elif policy.deadline is not None and policy.deadline < self.min_deadline:
            problem = (
                f"deadline = '{policy.deadline}ms' is shorter than policy_floor.min_deadline, "
                f"{format_duration(self.min_deadline)!r}"
            )
        else:
            rate = thresholds.alert_rate_at(float(min(policy.review, policy.decline)))
            if rate < self.min_alert_rate:
                problem = (
                    f"it would review or decline {rate:.2g} of the events for their probability, "
                    f"less than policy_floor.min_alert_rate, {self.min_alert_rate:g}"
                )
            elif rate > self.max_alert_rate:
                problem = (
                    f"it would review or decline {rate:.2g} of the events, more than "
                    f"policy_floor.max_alert_rate, {self.max_alert_rate:g}"
                )
        if problem:
            raise PolicyError(
                f"policy {policy.version} goes below the floor: {problem}. Change the policy, or "
                "the floor in the scorers' settings"
            )


class BoundedPolicies:
    """Fits policies to models; those that do not come from the settings obey the floor.

    Args:
        own: the settings' own policy.
        floor: None for none.
    """

    def __init__(self, own: PolicySettings, floor: PolicyFloor | None = None) -> None:
        self.own = own
        self._floor = floor

    def fit(self, said: PolicySettings, thresholds: Thresholds) -> Policy:
        """A policy resolved against one model's thresholds.

        Raises:
            PolicyError: it contradicts them, or undercuts the floor.
        """
        policy = Policy(said, thresholds)
        if said != self.own and self._floor is not None:
            self._floor.check(policy, thresholds)
        return policy
