"""What gets rights of its own on a cluster with ACLs, and the commands that run with them."""

from enum import StrEnum


class Process(StrEnum):
    """What gets rights of its own."""

    TOPICS = "topics"
    PRODUCER = "producer"
    SCORER = "scorer"
    EVALUATION = "evaluation"
    LETTERS = "dead-letters-reader"
    REQUEUE = "dead-letters-requeue"
    PURGE = "dead-letters-purge"
    ERASER = "eraser"
    CONTROL = "control"
    VIEWER = "viewer"
    EXPLAINER = "explainer"
    SINK = "sink"
    AUDITOR = "auditor"
    SHADOW = "shadow"
    COMPARISON = "comparison"
    CANARY = "canary"
    JUDGE = "judge"
    MONITOR = "monitor"
    ARCHIVE = "archive"
    CONTROLLER = "controller"
    CONTROLLER_STATUS = "controller-status"
    DRIFT = "drift"
    DRIFT_ACT = "drift-act"
    REPLAY = "shadow-replay"
    FIDELITY = "fidelity"
    LABELLER = "labeller"


COMMANDS: dict[Process, list[str]] = {
    Process.TOPICS: ["weir topics"],
    Process.PRODUCER: ["weir replay"],
    Process.SCORER: ["weir score", "weir up"],
    Process.EVALUATION: ["weir evaluate"],
    Process.LETTERS: ["weir dead-letters list", "weir dead-letters show"],
    Process.REQUEUE: ["weir dead-letters requeue"],
    Process.PURGE: ["weir dead-letters purge"],
    Process.ERASER: ["weir erase"],
    Process.CONTROL: [
        *("weir models promote", "weir models rollback", "weir policy set"),
        *("weir shadow add", "weir shadow remove"),
        *("weir controller trigger", "weir controller pause", "weir controller resume"),
    ],
    Process.VIEWER: ["weir models serving", "weir policy show", "weir shadow status"],
    Process.SHADOW: ["weir shadow"],
    Process.CANARY: ["weir canary run"],
    Process.JUDGE: ["weir judge"],
    Process.MONITOR: ["weir monitor"],
    Process.ARCHIVE: ["weir archive"],
    Process.CONTROLLER: ["weir controller"],
    Process.CONTROLLER_STATUS: ["weir controller status"],
    Process.DRIFT: ["weir drift status", "weir drift show", "weir drift page"],
    Process.DRIFT_ACT: ["weir drift ack", "weir drift snooze", "weir drift close"],
    Process.COMPARISON: ["weir shadow compare"],
    Process.REPLAY: ["weir shadow replay"],
    Process.EXPLAINER: ["weir explainer"],
    Process.SINK: ["weir sink"],
    Process.AUDITOR: ["weir audit verify"],
    Process.FIDELITY: ["weir fidelity"],
    Process.LABELLER: ["weir label"],
}
"""What runs with the rights of each process."""
