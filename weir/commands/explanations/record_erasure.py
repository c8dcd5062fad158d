"""Erasing somebody's explanation records, as `weir erase` does."""

from explain.store.checking.verification import Step
from explain.store.people.redaction import RedactionPlan, Redactor
from explain.writing.key_ring import KeyRing
from weir.cli.login import login_or
from weir.config.settings import Settings


def erase_records(
    settings: Settings,
    field: str,
    identifier: int | str,
    *,
    yes: bool,
    by: str | None,
    note: str,
    step: Step,
) -> RedactionPlan | None:
    """Empty the records that have an identifier's token; only count them without `yes`.

    Returns:
        What was done, or would be; None where there is no store, or no token to find them by.

    Raises:
        KeyRingError: the ring can't be used.
        StoreUnavailableError, StoreError, TamperedError: see `Redactor.redact`.
    """
    if settings.explain.key_ring is None or not settings.store.may_hold(settings.data_dir):
        return None
    with KeyRing(settings.explain.key_ring) as ring:
        token = ring.known(field, identifier)
    if token is None:
        return None
    with settings.store.open_database(settings.data_dir) as database:
        redactor = Redactor(database, login_or(by))
        if not yes:
            return redactor.plan(token)
        trusted = settings.store.trusted(settings.data_dir)
        return redactor.redact(field, token, trusted, note, step)
