"""Jobs of Kubernetes, by its own client, on a server that answers as the real one does."""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from pydantic import ValidationError

from monitoring.retraining.jobs.job import JobSpec, RunnerError
from monitoring.retraining.jobs.kubernetes import (
    KubernetesLoginError,
    KubernetesRunner,
    kubernetes_jobs_api,
)
from monitoring.retraining.jobs.kubernetes_manifest import job_manifest
from monitoring.retraining.jobs.kubernetes_settings import KubernetesSettings
from monitoring.retraining.settings import RetrainingSettings
from tests.monitoring.retraining.recorded_api import USER, RecordedApi

SETTINGS = KubernetesSettings(image="weir:1", namespace="fraud", secret="weir-retrain")
SPEC = JobSpec("loss-1", "c" * 64, "f" * 64, "s3://b/a", {"events/0": 9}, None, None, 1, True)
KEY = SPEC.key
NAME = f"weir-retrain-{KEY}-1"

Login = Callable[..., KubernetesRunner]


@pytest.fixture
def api() -> Iterator[RecordedApi]:
    with RecordedApi("fraud").running() as running:
        yield running


@pytest.fixture
def login(api: RecordedApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Login:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)

    def login(settings: KubernetesSettings = SETTINGS, **other: str) -> KubernetesRunner:
        file = api.kubeconfig(tmp_path / "kubeconfig", **other)
        at = "kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION"
        monkeypatch.setattr(at, str(file))
        return KubernetesRunner(kubernetes_jobs_api(), settings, timeout_s=0.5)

    return login


def test_an_attempt_is_begun_once_by_whoever_does(api: RecordedApi, login: Login) -> None:
    one, other = login(), login()
    assert one.state(KEY, 1) == "unknown"
    one.submit(KEY, SPEC, 1)
    other.submit(KEY, SPEC, 1)
    assert list(api.jobs) == [NAME]
    assert one.state(KEY, 1) == other.state(KEY, 1) == "running"
    assert one.state(KEY, 2) == "unknown"


@pytest.mark.parametrize("how", ["Complete", "Failed"])
def test_one_that_has_ended_is_not_begun_again(api: RecordedApi, login: Login, how: str) -> None:
    runner = login()
    runner.submit(KEY, SPEC, 1)
    api.end(NAME, how)
    assert runner.state(KEY, 1) == "ended"
    runner.submit(KEY, SPEC, 1)
    assert runner.state(KEY, 1) == "ended"
    runner.submit(KEY, SPEC, 2)
    assert runner.state(KEY, 2) == "running"


def test_one_whose_pods_still_end_runs(api: RecordedApi, login: Login) -> None:
    runner = login()
    runner.submit(KEY, SPEC, 1)
    conditions = [
        {"type": "FailureTarget", "status": "True"},
        {"type": "Failed", "status": "False"},
    ]
    api.jobs[NAME]["status"] = {"active": 1, "conditions": conditions}
    assert runner.state(KEY, 1) == "running"


def test_to_cancel_deletes_what_runs_and_its_pods_only(api: RecordedApi, login: Login) -> None:
    runner = login()
    other = msgspec.structs.replace(SPEC, cause="loss-2")
    runner.cancel(KEY)
    runner.submit(KEY, SPEC, 1)
    api.end(NAME, "Failed")
    runner.submit(KEY, SPEC, 2)
    runner.submit(other.key, other, 1)
    runner.cancel(KEY)
    assert sorted(api.jobs) == sorted([NAME, f"weir-retrain-{other.key}-1"])
    assert [query for verb, query in api.asked if verb == "delete"] == [
        {"propagationPolicy": ["Background"]}
    ]
    assert (runner.state(KEY, 2), runner.state(other.key, 1)) == ("unknown", "running")


def test_the_pod_runs_the_spec_once_and_is_given_nothing_else() -> None:
    spec = msgspec.structs.replace(SPEC, cause="$(HOME) $$ ünd 'quotes'")
    job = job_manifest(spec.key, spec, 1, SETTINGS)
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    weir, retrain, said, *options = container["command"]
    assert (weir, retrain) == ("weir", "retrain")
    assert "$" not in said, "Kubernetes would put variables in its place"
    assert msgspec.json.decode(said, type=JobSpec) == spec
    assert options == ["--config", "/etc/weir/weir.toml", "--no-progress"]
    assert job["spec"]["backoffLimit"] == 0
    assert job["spec"]["ttlSecondsAfterFinished"] == 86_400
    assert pod["restartPolicy"] == "Never"
    assert pod["automountServiceAccountToken"] is False
    assert pod["volumes"][0] == {"name": "settings", "secret": {"secretName": "weir-retrain"}}
    by_map = KubernetesSettings(image="weir:1", config_map="weir")
    volumes = job_manifest(spec.key, spec, 1, by_map)["spec"]["template"]["spec"]["volumes"]
    assert volumes[0] == {"name": "settings", "configMap": {"name": "weir"}}


def test_a_spec_that_no_process_takes_is_refused(login: Login) -> None:
    until = {f"events/{number}": 10**15 for number in range(6_000)}
    spec = msgspec.structs.replace(SPEC, until=until)
    with pytest.raises(RunnerError, match=r"bytes, and a process takes 131,071: set retr.*outbox"):
        login().submit(spec.key, spec, 1)


def ask(runner: KubernetesRunner, verb: str) -> None:
    if verb == "create":
        runner.submit(KEY, SPEC, 1)
    elif verb == "get":
        runner.state(KEY, 1)
    else:
        runner.cancel(KEY)


@pytest.mark.parametrize("verb", ["create", "get", "list", "delete"])
def test_a_missing_rule_is_named(api: RecordedApi, login: Login, verb: str) -> None:
    runner = login()
    if verb == "delete":
        runner.submit(KEY, SPEC, 1)
    api.forbidden = {verb}
    with pytest.raises(RunnerError) as denied:
        ask(runner, verb)
    assert USER in str(denied.value)
    assert "A Role of namespace 'fraud' has to hold" in str(denied.value)
    rule = f'apiGroups ["batch"], resources ["jobs"], verbs ["{verb}"]'
    assert rule in str(denied.value)
    api.forbidden = set()
    ask(runner, verb)


def test_a_quota_is_no_missing_rule(api: RecordedApi, login: Login) -> None:
    said = '{"kind":"Status","reason":"Forbidden","message":"exceeded quota: jobs, used: 5"}'
    api.fails = (403, said)
    with pytest.raises(RunnerError, match="Kubernetes said 403: exceeded quota") as denied:
        login().submit(KEY, SPEC, 1)
    assert "Role" not in str(denied.value)


@pytest.mark.parametrize("verb", ["create", "get", "list"])
@pytest.mark.parametrize(
    ("code", "text"), [(500, '{"message":"etcd: no leader"}'), (503, "<html>no backend</html>")]
)
def test_a_server_that_fails_is_asked_again(
    api: RecordedApi, login: Login, verb: str, code: int, text: str
) -> None:
    runner, api.fails = login(), (code, text)
    with pytest.raises(RunnerError, match=f"Kubernetes said {code}: .*no (leader|backend)"):
        ask(runner, verb)
    api.fails = None
    ask(runner, verb)


@pytest.mark.parametrize("verb", ["create", "get", "list"])
def test_a_server_that_is_silent_is_asked_again(api: RecordedApi, login: Login, verb: str) -> None:
    runner = login()
    api.silent.set()
    with pytest.raises(RunnerError, match=f"Kubernetes does not answer at {api.host}"):
        ask(runner, verb)
    api.silent.clear()
    ask(runner, verb)


def test_a_server_that_is_away(login: Login, api: RecordedApi) -> None:
    api.host = "http://127.0.0.1:1"
    with pytest.raises(RunnerError, match=r"Kubernetes does not answer at http://127\.0\.0\.1:1"):
        login().state(KEY, 1)


def test_a_namespace_that_is_not_there(login: Login) -> None:
    elsewhere = SETTINGS.model_copy(update={"namespace": "elsewhere"})
    with pytest.raises(RunnerError, match=r'"elsewhere" not found.*retraining\.kubernetes\.name'):
        login(elsewhere).submit(KEY, SPEC, 1)


def test_a_token_that_has_expired(login: Login) -> None:
    with pytest.raises(RunnerError, match="does not know us") as refused:
        login(token="of-yesterday").state(KEY, 1)
    assert "of-yesterday" not in str(refused.value)


@pytest.mark.parametrize("text", [None, "", ": no yaml: ["])
def test_no_cluster_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    file = tmp_path / "kubeconfig"
    if text is not None:
        file.write_text(text)
    at = "kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION"
    monkeypatch.setattr(at, str(file))
    with pytest.raises(KubernetesLoginError, match="KUBECONFIG"):
        kubernetes_jobs_api()


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({}, r"needs the section \[retraining\.kubernetes\]"),
        ({"kubernetes": {"image": "weir:1"}}, "one of the two"),
        ({"kubernetes": {"image": "weir:1", "secret": "a", "config_map": "b"}}, "one of the two"),
        ({"kubernetes": {"image": "weir:1", "secret": "a", "memory": "4 GB"}}, "no amount"),
        ({"kubernetes": {"image": "weir:1", "secret": "a", "cpu": "0"}}, "no amount"),
    ],
)
def test_settings_that_describe_no_job(said: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        RetrainingSettings.model_validate({"runner": "kubernetes", **said})
