"""Opens a session of Spark, shows how far it is, and says plainly what goes wrong."""

import logging
import os
import re
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from streams.base.errors import UNAVAILABLE, WeirError
from weir.broker.errors import BrokerError
from weir.broker.java import find_java
from weir.spark.settings import SparkSettings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Progress = Callable[[str, float], None]
"""Called with what is being done, and the share of it that is done, 0 to 1."""

LOG = "spark.log"
_LOOK_S = 0.3
_OURS = re.compile(r"^(?:streams|inference|monitoring|weir)\.[\w.]*?(\w+): (.+)$", re.MULTILINE)
_OF_PYTHON = re.compile(r"^(\w+(?:Error|Exception)): (.+)$", re.MULTILINE)


class SparkUnavailableError(WeirError):
    """Spark can't be started here; the message says what is missing."""

    exit_code = UNAVAILABLE


class SparkFailedError(WeirError):
    """A computation failed on Spark; the message says why, and where more is said."""


class SparkRun:
    """A session, and what it is at.

    Attributes:
        session: of Spark.
    """

    def __init__(self, session: "SparkSession", progress: Progress) -> None:
        self.session = session
        self._progress = progress
        self._title = "starting Spark"

    def step(self, title: str) -> None:
        """Say what is done from now on."""
        self._title = title
        self._progress(title, 0.0)

    def watch(self, over: Event) -> None:
        """Tell how many tasks of the stages at work are done, until it is over."""
        tracker = self.session.sparkContext.statusTracker()
        while not over.wait(_LOOK_S):
            with suppress(Exception):  # Spark is about to end
                stages = map(tracker.getStageInfo, tracker.getActiveStageIds())
                counts = [(each.numCompletedTasks, each.numTasks) for each in stages if each]
                done, tasks = map(sum, zip(*counts, strict=True))
                self._progress(self._title, done / tasks)


@contextmanager
def spark_session(
    settings: SparkSettings, data_dir: Path, progress: Progress = lambda step, share: None
) -> Iterator[SparkRun]:
    """Open a session, and stop it at the end, also by SIGTERM or Ctrl-C.

    What Spark logs goes to ``spark.log`` in `data_dir`.

    Raises:
        SparkUnavailableError: PySpark or a Java is missing, or the cluster does not answer.
        SparkFailedError: what was computed in the block failed.
        KeyboardInterrupt: we were told to stop.
    """
    progress("starting Spark", 0.0)
    with _stopped_by_signals():
        session = _start(settings, data_dir / LOG)
        run, over = SparkRun(session, progress), Event()
        watcher = Thread(target=run.watch, args=(over,), name="watching Spark", daemon=True)
        watcher.start()
        try:
            yield run
        except WeirError:
            raise
        except Exception as error:
            if not _is_of_spark(error):
                raise
            raise SparkFailedError(_plainly(error, data_dir / LOG)) from error
        finally:
            over.set()
            watcher.join()
            with suppress(Exception):
                session.sparkContext.cancelAllJobs()
            session.stop()


def _start(settings: SparkSettings, log: Path) -> "SparkSession":
    try:
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise SparkUnavailableError(
            "--engine spark needs PySpark, which is not installed: pip install 'weir[spark]'"
        ) from error
    try:
        java = find_java()
    except BrokerError as error:
        raise SparkUnavailableError(
            "--engine spark needs a Java 17 or newer, and there is none: "
            "pip install 'weir[java]', or set JAVA_HOME"
        ) from error
    os.environ["JAVA_HOME"] = str(java.path.resolve().parents[1])
    conf = {
        "spark.app.name": "weir",
        "spark.master": settings.master,
        "spark.driver.memory": settings.driver_memory,
        "spark.executor.memory": settings.executor_memory,
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.adaptive.coalescePartitions.enabled": "false",  # a bucket is a task
        "spark.sql.execution.arrow.useLargeVarTypes": "true",
        "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.shuffle.partitions": str(settings.buckets or 200),
        # What would carry rows to the driver fails, instead of filling its memory.
        "spark.driver.maxResultSize": "64m",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "WARN",
    }
    # We go by Arrow: of pandas nothing is used, whatever its version.
    warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas")
    logging.getLogger("py4j").setLevel(logging.WARNING)
    if settings.is_local:
        os.environ["PYSPARK_PYTHON"] = sys.executable
        conf |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
    log.parent.mkdir(parents=True, exist_ok=True)
    builder = SparkSession.builder.config(map=conf | settings.conf)
    try:
        with _stderr_to(log):
            return builder.getOrCreate()
    except Exception as error:
        raise SparkUnavailableError(
            f"Spark does not start on {settings.master!r} (spark.master): {_plainly(error, log)}"
        ) from error


@contextmanager
def _stderr_to(log: Path) -> Iterator[None]:
    """What is started in the block, a Java, writes to a file what it says on stderr."""
    sys.stderr.flush()
    kept = os.dup(2)
    with log.open("ab") as file:
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Make an interrupt of SIGTERM, as Ctrl-C is one, so that what is open is closed."""

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    former = {each: signal.signal(each, interrupt) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for each, handler in former.items():
            signal.signal(each, handler)


def _is_of_spark(error: Exception) -> bool:
    return any(kind.__module__.startswith(("pyspark.", "py4j.")) for kind in type(error).__mro__)


def _plainly(error: Exception, log: Path) -> str:
    """What a failure on an executor was about, without the traces of two languages."""
    text = str(error)
    ours, of_python = _OURS.search(text), _OF_PYTHON.findall(text)
    if ours is not None:
        return ours[2]
    if of_python:
        return f"{of_python[-1][0]}: {of_python[-1][1]} ({log} says more)"
    return f"{text.splitlines()[0] if text else type(error).__name__} ({log} says more)"
