"""Training rows of events whose label has not come: what rules say of them stands for it."""

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

from inference.packages.data_version import WeakLabels
from inference.training.training_set import WeakRows
from inference.weak_labels.dawid_skene import fit_rates
from inference.weak_labels.pattern_counts import PatternCounts
from inference.weak_labels.voted_rows import VotedRows
from inference.weak_labels.young import certainty, chance_of_the_rest
from streams.events.label_rules import LabelRule


def weak_rows(
    voted: Iterable[VotedRows], rules: Sequence[LabelRule]
) -> tuple[WeakRows | None, WeakLabels]:
    """Judge the rules by all events, and give each young one a chance of fraud and a weight.

    The weight is the certainty of the chance. An event whose label is known early has it.

    Returns:
        The rows, None where no event is young; and what a model's card says of them.

    Raises:
        WeakLabelError: no fraud, or no legitimate event, is mature.
    """
    counts = PatternCounts.none(len(rules))
    young = []
    for rows in voted:
        known = rows.labels if rows.mature else np.full(len(rows.labels), -1, np.int8)
        counts += PatternCounts.of(rows.votes, known, rows.weights)
        if not rows.mature:
            young.append(rows)
    fitted = fit_rates(counts)
    said = WeakLabels(
        rules=tuple(rules),
        true_positive=tuple(fitted.true_positive.tolist()),
        false_positive=tuple(fitted.false_positive.tolist()),
    )
    if not young:
        return None, said
    votes, labels = (
        np.concatenate([getattr(rows, name) for rows in young]) for name in ("votes", "labels")
    )
    chance = chance_of_the_rest(fitted.chance[counts.place_of(votes)], labels)
    found = WeakRows(np.concatenate([rows.matrix for rows in young]), chance, certainty(chance))
    hashed = hashlib.sha256()
    for column in (found.matrix, found.chance, found.weights):
        hashed.update(column.data)
    return found, said.model_copy(
        update={
            "events": len(chance),
            "known": int(np.count_nonzero(labels >= 0)),
            "frauds": round(float(chance.sum()), 3),
            "weight": round(float(found.weights.sum()), 3),
            "sha256": hashed.hexdigest(),
        }
    )
