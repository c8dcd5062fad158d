"""The result, as text."""

from tests.fuzz.campaign import MOST_MEMORY_MB, Report
from tests.fuzz.schema_campaign import SchemaReport


def lines(report: Report, seed: int) -> list[str]:
    """What `make fuzz` prints."""
    ledger, total = report.ledger, report.ledger.sent.total()
    out = [f"{'kind':<20}{'sent':>12}{'rejected':>12}{'answered':>12}"]
    for kind, sent in ledger.sent.most_common():
        out.append(f"{kind:<20}{sent:>12,}{ledger.rejected[kind]:>12,}{ledger.answered[kind]:>12,}")
    out.append(
        f"{'all':<20}{total:>12,}{ledger.rejected.total():>12,}{ledger.answered.total():>12,}"
    )
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in report.reasons.most_common())
    out.append(f"dead letters         {reasons}")
    out.append(
        f"sent and scored in   {report.scoring_s:.0f} s "
        f"({total / report.scoring_s:,.0f} records/s), checked in {report.checking_s:.0f} s"
    )
    out.append(f"peak memory          {report.peak_mb:,} MiB of {MOST_MEMORY_MB:,}")
    out.append(f"violations           {report.violations.counts.total():,} (seed {seed})")
    out += [f"  {count:,} × {kind}" for kind, count in report.violations.counts.most_common()]
    out += [f"  {example}" for example in report.violations.examples]
    return out


def schema_lines(report: SchemaReport, seed: int) -> list[str]:
    """What `make fuzz ARGS=--schemas` prints of a format."""
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in report.reasons.most_common())
    return [
        f"{report.format:<14} {report.registered:,} hostile schemas, {report.declined:,} more that "
        f"the registry declined; {report.sent:,} records, {report.good:,} of them good",
        f"  answered     {report.answered:,} in {report.seconds:.0f} s",
        f"  dead letters {reasons}",
        f"  peak memory  {report.peak_mb:,} MiB of {MOST_MEMORY_MB:,}",
        f"  violations   {report.violations.counts.total():,} (seed {seed})",
        *(f"    {example}" for example in report.violations.examples),
    ]
