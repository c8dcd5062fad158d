"""Which model answers which event: the champion, and the arms that are tried beside it.

An arm's keys are chosen by a salted hash; where an arm gives no answer, the champion answers.
"""
