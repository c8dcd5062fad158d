"""Loops live through a restart of the broker, and say meanwhile that they are not ready."""

from pathlib import Path

from confluent_kafka.admin import AdminClient, NewTopic
from copy_task import copying
from loop_world import PARTITIONS, World, running, wait

from streams.kafka.client import KafkaSettings
from streams.kafka.records.consuming import read_to_end
from streams.loop.settings import LoopSettings
from tests.restarts.group_lag import lag_of_group
from weir.broker import BrokerSettings, LocalBroker


def test_loops_live_through_a_restart_of_the_broker(tmp_path: Path) -> None:
    """Without the care taken, the fused one's next transaction never ended."""
    with LocalBroker(BrokerSettings(data_dir=tmp_path / "broker", port=0)) as broker:
        servers = broker.bootstrap_servers
        settings = KafkaSettings(bootstrap_servers=servers)
        admin = AdminClient(settings.client_config())

        def make_topics(*names: str, partitions: int = 1) -> list[str]:
            topics = [NewTopic(name, partitions, 1) for name in names]
            for made in admin.create_topics(topics).values():
                made.result(30)
            return list(names)

        world = World(servers, make_topics)
        make_topics("copies", partitions=PARTITIONS)
        staged = copying(
            settings,
            LoopSettings(group="copying", topology="staged", session_timeout="6s"),
            world.events,
            "copies",
        )

        def done() -> bool:
            copies = sum(len(batch) for batch in read_to_end(settings, "copies"))
            return copies >= world.sent and world.answered() >= world.sent

        loop = world.loop()
        with running(loop), running(staged):
            world.send(20)
            wait(done)
            wait(lambda: loop.ready and staged.ready)
            broker.stop()
            wait(lambda: not (loop.ready or staged.ready))
            broker.start(die_with_parent=True)
            world.send(20)
            wait(done)
            wait(lambda: loop.ready and staged.ready)
            for group in (world.group, "copying"):
                wait(lambda group=group: set(lag_of_group(admin, group).values()) == {0})
        world.check()
        assert sum(len(batch) for batch in read_to_end(settings, "copies")) == world.sent
