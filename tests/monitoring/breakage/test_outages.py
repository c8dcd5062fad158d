from monitoring.breakage.kind import Kind
from monitoring.breakage.outages import dead_letters_found, silence_found
from monitoring.breakage.silence import Silence
from streams.events.rejection import Reason

SINCE = 1_534_241_100_000
PAST = (20, 100_000)


def test_silence_in_words() -> None:
    found = silence_found(
        Kind.SILENT_PRODUCER, "app-version 4.2.0", Silence(SINCE, 1_199.6, 3, 90.0)
    )
    assert found.words == (
        "app-version 4.2.0 has been silent since 2018-08-14 10:05:00 UTC: 3 events where about"
        " 1,200 were expected"
    )
    assert found.producer == "app-version 4.2.0"
    partition = silence_found(Kind.SILENT_PARTITION, "partition 3", Silence(SINCE, 50, 0, 20.0))
    assert (partition.producer, partition.share) == (None, 1.0)


def test_a_burst_of_dead_letters_names_the_producer() -> None:
    by = {"app-version 4.1.0": (4, 3_000), "app-version 4.2.0": (60, 400)}
    found = dead_letters_found("wrong_type of amount", PAST, by, SINCE)
    assert found is not None
    assert (found.kind, found.producer) == (Kind.SCHEMA, "app-version 4.2.0")
    assert found.words == (
        "1.9 % of records are rejected as wrong_type of amount since 2018-08-14 10:05:00 UTC;"
        " 95 % of it comes from app-version 4.2.0"
    )
    found = dead_letters_found(Reason.NOT_JSON, PAST, {"": (61, 3_400)}, SINCE)
    assert found is not None
    assert (found.kind, found.producer) == (Kind.DEAD_LETTERS, None)


def test_a_few_dead_letters_are_no_burst() -> None:
    assert dead_letters_found(Reason.NOT_JSON, PAST, {"": (3, 3_000)}, SINCE) is None
    assert dead_letters_found(Reason.NOT_JSON, (500, 10_000), {"": (300, 3_000)}, SINCE) is None
    assert dead_letters_found(Reason.NOT_JSON, (0, 0), {"": (0, 0)}, SINCE) is None
