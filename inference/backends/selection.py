"""Opens the engine that the settings and the machine allow, and says in the log which and why."""

import logging
from collections.abc import Sequence
from pathlib import Path

from inference.backends.cpu import CpuEngine
from inference.backends.tensorrt.callbacks import Cancelled, Progress
from inference.backends.tensorrt.driver import NoGpuError, probe
from inference.backends.tensorrt.errors import BuildCancelledError
from inference.engine.onnx_session import RunSwitch
from inference.engine.protocol import Engine, EngineError
from inference.engine.settings import EngineSettings
from inference.packages.package import ModelPackage

logger = logging.getLogger(__name__)


def open_engine(
    settings: EngineSettings,
    package: ModelPackage,
    feature_names: Sequence[str] | None,
    *,
    data_dir: Path,
    progress: Progress = lambda done, of: None,
    cancelled: Cancelled = lambda: False,
    switch: RunSwitch | None = None,
) -> Engine:
    """Open the engine of the settings around a package; it is not yet warm.

    Args:
        settings: the ``[engine]`` section.
        package: the model.
        feature_names: columns of the matrices to come; None means those that the package reads.
        data_dir: where Weir keeps its files; built engines go into ``engines`` there.
        progress: told of each step where an engine is built for the GPU, which can take minutes.
        cancelled: asked at each of these steps whether to give up.
        switch: ends what the CPU's engine answers, from another thread.

    Raises:
        BuildCancelledError: `cancelled` said so.
        EngineError: the GPU engine cannot be opened and `EngineSettings.allow_cpu` is off, or the
            model reads a feature that is not given, or its graph does not load.
        DeviceLostError: the GPU is lost to this process.
    """
    if settings.backend != "cpu":
        try:
            gpu = probe()
            # Imported here: it is of no use where there is no GPU.
            from inference.backends.tensorrt.opening import open_tensorrt

            engine = open_tensorrt(
                settings,
                package,
                feature_names,
                cache_dir=data_dir / "engines",
                gpu=gpu,
                progress=progress,
                cancelled=cancelled,
            )
            logger.info(
                "model %s answers on %s by %s, with %s",
                package.short_id,
                engine.info.device,
                engine.info.backend,
                engine.info.routes[0],
            )
            return engine
        except BuildCancelledError:
            raise
        except EngineError as error:
            if not settings.allow_cpu:
                raise EngineError(
                    f"engine.backend = {settings.backend!r}, engine.allow_cpu is off, and {error}"
                ) from error
            expected = settings.backend == "auto" and isinstance(error, NoGpuError)
            logger.log(
                logging.INFO if expected else logging.WARNING,
                "model %s answers on the CPU: %s",
                package.short_id,
                error,
            )
    return CpuEngine(package, feature_names, nvforest=settings.nvforest, switch=switch)
