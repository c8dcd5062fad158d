"""What explains one answer: how much each group of features did to it, and how far that is true."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Explanation:
    """One answer in terms of its feature groups; all but the shares is in log-odds of fraud.

    Attributes:
        log_odds: the model's answer.
        baseline: what the local model says of the typical event, with every group replaced.
        local: what it says of this event; ``local - log_odds`` is how far it is off.
        attributions: by group, what the event's own values add to the baseline; above zero raises
            the risk.
        error: standard error of each, over the seeds that samples could be drawn by.
        r2: share of the weighted variance of the model's answers that the local model explains.
        ess: effective number of samples that the weights leave, by Kish.
        vsi: how far two seeds would name the same top groups, Jaccard's index, as expected from
            the standard error.
        csi: how surely the top groups would have the same sign.
        confident: whether all of that is within the settings' thresholds.
    """

    log_odds: float
    baseline: float
    local: float
    attributions: tuple[float, ...]
    error: float
    r2: float
    ess: float
    vsi: float
    csi: float
    confident: bool
