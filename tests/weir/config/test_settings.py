"""Settings: what a user may get wrong, and what the message then says."""

import json
import logging
import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from weir.config.errors import SettingsError
from weir.config.settings import (
    CONFIG_VARIABLE,
    EXAMPLE_FILE,
    Settings,
    find_settings_file,
    load_settings,
)

OPERATIONS = (Path(__file__).parents[3] / "docs" / "operations.md").read_text()
SECRET = "hunter2-is-secret"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("WEIR_"):
            monkeypatch.delenv(name)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(EXAMPLE_FILE.read_text())
    return path


def change(file: Path, key: str, value: Any) -> None:
    """Set a key such as ``event.fields.amount.type``; None removes it."""
    values = tomllib.loads(file.read_text())
    *path, last = key.split(".")
    table: Any = values
    for part in path:
        table = table[int(part)] if isinstance(table, list) else table.setdefault(part, {})
    if value is None:
        del table[last]
    else:
        table[last] = value
    file.write_text(tomli_w.dumps(values))


def complaint(file: Path) -> str:
    with pytest.raises(SettingsError) as error:
        load_settings(file)
    return str(error.value)


def test_the_example_is_right_and_frozen(file: Path) -> None:
    settings = load_settings(file)
    assert settings.event.id == "transaction_id"
    assert len(settings.plan().names) == 17
    with pytest.raises(ValueError, match="frozen"):
        settings.labels.delay = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("key", "value", "named", "says"),
    [
        ("kafka.bootstrap_server", "x", "kafka.bootstrap_server", "no such key"),
        ("lopp.group", "x", "lopp", "no such key"),
        ("event.fields.amount.typ", "int", "event.fields.amount.typ", "no such key"),
        ("topics.partitions", "four", "topics.partitions", "integer"),
        ("topics.partitions", 0, "topics.partitions", "greater than or equal to 1"),
        ("loop.max_batch", -1, "loop.max_batch", "greater than or equal to 1"),
        ("loop.group", "g" * 250, "loop.group", "249 characters"),
        ("loop.worker", "w" * 101, "loop.worker", "100 characters"),
        ("store.group", "g" * 250, "store.group", "249 characters"),
        ("explain.group", "g" * 250, "explain.group", "249 characters"),
        ("registry.model", "m" * 250, "registry.model", "249 characters"),
        ("labels.field", "f" * 250, "labels.field", "249 characters"),
        ("topics.events", "t" * 250, "topics.events", "249 characters"),
        ("event.time", "t" * 250, "event.time", "250 characters"),
        ("metrics.port", 70_000, "metrics.port", "65535"),
        ("metrics", 3, "metrics", "write [metrics]"),
        ("event", None, "event", "missing"),
        ("event.id", None, "event.id", "missing"),
        ("event.fields.amount.type", None, "event.fields.amount.type", "missing"),
        ("event.fields.amount.type", "money", "event.fields.amount.type", "'int', 'float'"),
        ("event.id", "transaction", "event", "declare it there"),
        ("event.time_format", "min", "event.time_format", "'iso'"),
        ("event.fields.is_fraud", {"type": "bool"}, "labels.field", "remove it"),
        ("features", None, "features", "missing"),
        ("features", [], "features", "at least 1"),
        ("features.0.field", "amuont", "'amount'", "'amuont'"),
        ("features.0.kind", "feild", "features.0", "'field'"),
        ("features.4.window", "1 hour", "features.4.window.window", "like '7d'"),
        ("features.4.window", 3600, "features.4.window.window", "write the unit"),
        ("features.4.window", True, "features.4.window.window", "a string such as '7d'"),
        ("labels.delay", "seven days", "labels.delay", "like '7d'"),
        ("labels.delay", "8d", "'terminal_frauds_1d'", "'8d' or more"),
        ("features.14.delay", "6d", "'terminal_frauds_1d'", "'7d' or more"),
        ("policy.review_alert_rate", 1.5, "policy.review_alert_rate", "less than 1"),
        ("policy.review_probability", 0.5, "policy", "not both"),
        ("kafka.security_protocol", "TLS", "kafka.security_protocol", "'SASL_SSL'"),
        ("kafka.ssl_ca_location", "/no/such.pem", "ssl_ca_location", "no file '/no/such.pem'"),
        ("policy", {"costs": {"cap": 9, "friction": 1, "review": 1}}, "costs.amount", "add it"),
        ("feature_log", {"include": ["amuont"]}, "feature_log.include", "among event.fields"),
        ("feature_log", {"include": ["header:"]}, "feature_log.include", "write 'header:NAME'"),
        ("feature_log", {"include": ["app-version"]}, "feature_log.include", "'header:NAME'"),
        (
            "monitor",
            {"segments": ["amount"], "promotion_span": "7d"},
            "monitor.segments = 'amount'",
            "add it there",
        ),
        ("monitor.segments", ["a"], "monitor", "set promotion_span"),
        ("monitor", {"segments": ["a", "a"], "promotion_span": "7d"}, "monitor", "write each once"),
        ("alignment.max_idle", "1", "alignment.max_idle", "a unit of ms"),
        ("event.format", "avro", "event.format = 'avro'", "set schema_registry.url"),
        ("event.format", "xml", "event.format", "'json_schema'"),
        ("schema_registry.url", "registry:8081", "schema_registry.url", "write http://HOST:PORT"),
        ("schema_registry.username", "me", "schema_registry", "set both, or neither"),
        ("topics.dead_letters", "weir.events", "events and dead_letters", "a topic of its own"),
        ("topics.scores", "my scores", "topics.scores", "a-zA-Z0-9"),
        ("topics.events", "weir.enriched", "stages.prefix", "choose another prefix"),
        ("stages.prefix", "", "stages.prefix", "a-zA-Z0-9"),
        ("store.witness_topic", "weir.explanations", "store.witness_topic", "one of its own"),
        ("store.witness_topic", "my anchors", "store.witness_topic", "a-zA-Z0-9"),
        ("loop.group", "", "loop.group", "at least 1"),
        ("tracing.endpoint", "collector:4318", "tracing.endpoint", "write http://HOST:4318/v1"),
        ("tracing.endpoint", "http://a:b@c/", "tracing.endpoint", "OTEL_EXPORTER_OTLP_HEADERS"),
        ("tracing.sample", 1.5, "tracing.sample", "less than or equal to 1"),
    ],
)
def test_a_mistake_is_answered_with_file_key_and_fix(
    file: Path, key: str, value: Any, named: str, says: str
) -> None:
    change(file, key, value)
    message = complaint(file)
    assert message.startswith(f"{file}: ")
    assert named in message
    assert says in message
    assert "Traceback" not in message
    assert "pydantic" not in message


def test_all_mistakes_come_at_once(file: Path) -> None:
    change(file, "topics.partitions", 0)
    change(file, "loop.grup", "x")
    lines = complaint(file).splitlines()
    assert [line.split(": ")[1] for line in lines] == ["topics.partitions", "loop.grup"]


def test_broken_toml_is_named_with_its_line(file: Path) -> None:
    file.write_text("[kafka]\n\nbootstrap_servers = here:9092\n")
    assert re.search(rf"^{file}: not TOML: .*line 3", complaint(file))


def test_a_key_said_twice_is_no_toml(file: Path) -> None:
    file.write_text(file.read_text() + '\n[policy]\nversion = "2"\n')
    assert "not TOML" in complaint(file)


def test_a_file_that_cannot_be_read_is_named(file: Path, tmp_path: Path) -> None:
    file.write_bytes(b"# \xff\xfe")
    assert complaint(file).startswith(f"{file}: can't be read")
    assert "no settings file" in complaint(tmp_path / "none.toml")


def test_where_the_file_is_looked_for(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match="weir init"):
        find_settings_file(None)
    monkeypatch.setenv(CONFIG_VARIABLE, str(file))
    assert find_settings_file(None) == file
    assert find_settings_file(EXAMPLE_FILE) == EXAMPLE_FILE
    monkeypatch.delenv(CONFIG_VARIABLE)
    file.rename(tmp_path / "weir.toml")
    assert load_settings().policy.version == "1"


def test_the_environment_wins_over_the_file_key_by_key(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(file, "loop.group", "of-the-file")
    monkeypatch.setenv("WEIR_LOOP__MAX_BATCH", "77")
    monkeypatch.setenv("WEIR_LABELS__DELAY", "5d")
    monkeypatch.setenv("WEIR_DATA_DIR", "/data")
    monkeypatch.setenv("WEIR_KAFKA__SASL_PASSWORD", SECRET)
    settings = load_settings(file)
    assert (settings.loop.group, settings.loop.max_batch) == ("of-the-file", 77)
    assert settings.labels.delay == 5 * 86_400_000
    assert settings.data_dir == Path("/data")
    assert settings.kafka.client_config()["sasl.password"] == SECRET


def test_an_option_wins_over_the_file(file: Path) -> None:
    change(file, "metrics.host", "0.0.0.0")
    settings = load_settings(file, metrics={"port": 0})
    assert (settings.metrics.host, settings.metrics.port) == ("0.0.0.0", 0)


def test_an_option_does_not_hide_a_mistake(file: Path) -> None:
    change(file, "metrics", 3)
    with pytest.raises(SettingsError, match="metrics"):
        load_settings(file, metrics={"port": 0})


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("WEIR_KAFKKA__SASL_PASSWORD", SECRET, "no section 'kafkka'"),
        ("WEIR_KAFKA__SASL_PASSWRD", SECRET, "kafka.sasl_passwrd"),
        ("WEIR_LOOP__MAX_BATCH", "many", "loop.max_batch"),
        ("WEIR_LOOP", "{not json", "WEIR_LOOP"),
        ("WEIR_EVENT__FIELDS", "not json", "WEIR_EVENT__FIELDS"),
    ],
)
def test_a_wrong_variable_is_named(
    file: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    monkeypatch.setenv(name, value)
    message = complaint(file)
    assert says in message
    assert SECRET not in message


def test_variables_that_are_not_ours_are_left_alone(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEIR_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("WEIRD__THING", "1")
    load_settings(file)


def secretive(file: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    change(file, "kafka.properties", {"sasl.oauthbearer.client.secret": SECRET, "client.rack": "a"})
    change(file, "kafka.producer", {"ssl.keystore.password": SECRET})
    monkeypatch.setenv("WEIR_KAFKA__SASL_PASSWORD", SECRET)
    monkeypatch.setenv("WEIR_KAFKA__SSL_KEY_PASSWORD", SECRET)
    return load_settings(file)


def test_a_secret_is_shown_nowhere(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings = secretive(file, monkeypatch)
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("test").info("%s %r", settings, settings.kafka)
    shown = [
        str(settings),
        repr(settings),
        f"{settings.kafka}",
        repr(settings.kafka),
        settings.model_dump_json(),
        json.dumps(settings.model_dump(), default=str),
        str(settings.kafka.model_dump()),
        caplog.text,
    ]
    assert all(SECRET not in text for text in shown)
    assert all("client.rack" in text for text in shown)
    config = settings.kafka.producer_config()
    wanted = (
        "sasl.password",
        "ssl.key.password",
        "sasl.oauthbearer.client.secret",
        "ssl.keystore.password",
    )
    assert [config[name] for name in wanted] == [SECRET] * 4


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("kafka.sasl_password", 12345678),
        ("kafka.sasl_password", [SECRET]),
        ("kafka.sasl_passwd", SECRET),
        ("kafka.properties.sasl.password", {"a": SECRET}),
        ("kafka", SECRET),
        ("kafka.sasl_password_file", SECRET),
    ],
)
def test_a_secret_is_not_in_a_complaint(
    file: Path, monkeypatch: pytest.MonkeyPatch, key: str, value: Any
) -> None:
    monkeypatch.setenv("WEIR_KAFKA__SSL_KEY_PASSWORD", SECRET)
    change(file, key, value)
    message = complaint(file)
    assert "kafka" in message
    assert "12345678" not in message
    if key != "kafka.sasl_password_file":  # a path is no secret
        assert SECRET not in message


def test_a_secret_is_not_in_a_complaint_about_the_section(
    file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text(SECRET + "\n")
    change(file, "kafka.sasl_password_file", str(tmp_path / "password"))
    assert load_settings(file).kafka.client_config()["sasl.password"] == SECRET
    monkeypatch.setenv("WEIR_KAFKA__SASL_PASSWORD", SECRET)
    with pytest.raises(SettingsError, match="not both") as error:
        load_settings(file)
    chain: BaseException | None = error.value
    while chain is not None:
        assert SECRET not in str(chain)
        chain = chain.__cause__


def test_what_is_let_through_has_an_amount_that_goes_along(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEIR_APPROVE_THROUGH__SALT", "sixteen letters!")
    through = {"daily_budget": 10, "bands": [{"share": 0.1}]}
    change(file, "approve_through", through)
    assert "approve_through.amount = 'amount' is not among feature_log.include" in complaint(file)
    change(file, "feature_log", {"include": ["amount", "merchant_category"]})
    settings = load_settings(file)
    assert settings.approve_through is not None
    assert "sixteen" not in str(settings)
    change(file, "approve_through", through | {"amount": "merchant_category"})
    assert "approve_through.amount = 'merchant_category' is no number" in complaint(file)
    change(file, "approve_through", through | {"salt": "short"})
    monkeypatch.delenv("WEIR_APPROVE_THROUGH__SALT")
    assert "approve_through.salt" in (said := complaint(file))
    assert "short'" not in said


def test_the_page_lists_every_section_and_no_other() -> None:
    table = OPERATIONS.split("| section | what it says |")[1].split("\n\n")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| ")]
    listed = {name for row in rows for name in re.findall(r"`\[*(\w+)", row)}
    assert listed == set(Settings.model_fields)


def test_topics_have_to_keep_what_windows_look_back_on(file: Path) -> None:
    change(file, "topics.retention", "1d")
    assert "topics.retention = '1d' is shorter than the windows" in complaint(file)
