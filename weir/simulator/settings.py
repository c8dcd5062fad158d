"""The size of a simulated world, its time span, and how much fraud it holds."""

from datetime import UTC, date, datetime, timedelta

from pydantic import Field, model_validator

from streams.base.section import Section


class SimulatorSettings(Section):
    """The ``[simulator]`` section.

    About ``customers * days * transactions_per_day`` transactions come out. The three fraud
    shares are fractions of all transactions.
    """

    customers: int = Field(default=5_000, ge=1)
    terminals: int = Field(default=2_000, ge=2)
    days: int = Field(default=90, ge=1)
    start: date = date(2026, 1, 1)
    seed: int = Field(default=1, ge=0)
    transactions_per_day: float = Field(default=2.0, gt=0, le=100)
    nearby_terminals: int = Field(default=30, ge=1)
    compromised_terminal_share: float = Field(default=0.004, ge=0, le=0.05)
    leaked_card_share: float = Field(default=0.003, ge=0, le=0.05)
    card_testing_share: float = Field(default=0.002, ge=0, le=0.05)

    @model_validator(mode="after")
    def _ends_in_the_past(self) -> "SimulatorSettings":
        today = datetime.now(UTC).date()
        end = self.start + timedelta(days=self.days)
        if end > today:
            raise ValueError(
                f"start = {self.start} and days = {self.days} end on {end}, in the future, where "
                f"the scorer refuses events: choose start <= {today - timedelta(days=self.days)}"
            )
        return self

    @classmethod
    def for_events(
        cls, events: int, *, days: int = 90, start: date | None = None, seed: int = 1
    ) -> "SimulatorSettings":
        """Settings that give about ``events`` transactions over ``days`` days.

        The number of customers follows, and two terminals stand for every five of them, as in
        the defaults; so the features of one customer or terminal look alike at any size.

        Raises:
            ValueError: ``events`` or ``days`` is below 1, or the span ends in the future.
        """
        if events < 1 or days < 1:
            raise ValueError(f"events = {events} and days = {days} must both be at least 1")
        per_day = cls.model_fields["transactions_per_day"].default
        customers = max(1, round(events / (days * per_day)))
        # A single customer can still be too many for a handful of events: it pays less often.
        rate = min(per_day, events / (days * customers))
        return cls(
            customers=customers,
            terminals=max(2, customers * 2 // 5),
            days=days,
            start=cls.model_fields["start"].default if start is None else start,
            seed=seed,
            transactions_per_day=rate,
        )
