"""A stream on the secured broker, and the front door as its users see it."""

import os
import signal
import sys
from collections.abc import Iterator
from functools import partial

import pytest
from front_door import Trained
from said_by_users import LONGEST_S, Run, RunIn, Said
from secured import Secured
from security_world import World

from weir.main import main


@pytest.fixture(scope="module")
def world(secured: Secured, trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(secured, tmp_path_factory.mktemp("world"), trained.folder / "data")


@pytest.fixture
def run_in(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[RunIn]:
    """Run the front door in this process as a user, with the password from the environment."""
    for name in [name for name in os.environ if name.startswith("WEIR_")]:
        monkeypatch.delenv(name)
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
    handlers = {number: signal.getsignal(number) for number in numbers}

    def too_long(*_: object) -> None:
        raise TimeoutError(f"no end within {LONGEST_S} s")

    def run(world: World, user: str, *arguments: object) -> Said:
        monkeypatch.setenv("WEIR_KAFKA__SASL_PASSWORD", world.secured.passwords[user])
        config = world.write(user)
        monkeypatch.setattr(sys, "argv", ["weir", *map(str, arguments), "-c", str(config)])
        capfd.readouterr()
        signal.signal(signal.SIGALRM, too_long)
        signal.alarm(LONGEST_S)
        with pytest.raises(SystemExit) as end:
            main()
        signal.alarm(0)
        said = capfd.readouterr()
        world.check_silence(said.out + said.err)
        assert "Traceback" not in said.err
        assert isinstance(end.value.code, int)
        return Said(end.value.code, said.out, " ".join(said.err.split()))

    yield lambda world: partial(run, world)
    signal.alarm(0)
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def run(run_in: RunIn, world: World) -> Run:
    return run_in(world)
