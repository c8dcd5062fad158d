"""Which engine answers, and how it uses a GPU: the ``[engine]`` section."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from inference.engine.protocol import BATCH_BUCKETS
from streams.base.section import Section

Backend = Literal["auto", "cpu", "tensorrt", "tensorrt_rtx"]
CudaBinding = Literal["cuda-bindings", "pycuda"]
TensorRtPrecision = Literal["float32", "tf32"]
"""Of matrix products in float32 networks. A float16 model carries its types in its graph."""

_LARGEST_BUCKET = 65_536


class EngineSettings(Section):
    """The ``[engine]`` section; all but `backend` and `allow_cpu` is about GPUs.

    Attributes:
        backend: ``auto`` takes TensorRT, then TensorRT-RTX, where a GPU and the library are
            there and the model has a tensor form, else the CPU; it never fails for want of a GPU
            unless `allow_cpu` is off.
        cuda: the package that calls CUDA.
        precision: of matrix products. ``tf32`` is faster, and rounds their inputs to 10 bits.
        buckets: batch sizes that the GPU is made ready for, ascending, the first of them 1. A
            batch is padded to the next one, or cut where it is larger than the last.
        slots: batches that may be on their way on the GPU at once, each with buffers of its own.
        cuda_graphs: launch a batch's copies and kernels as one CUDA graph.
        allow_cpu: answer on the CPU, with a warning, where the GPU engine cannot be opened.
        nvforest: where TensorRT does not answer, measure nvForest (the extra ``nvforest``) for a
            model's trees as well, on a GPU where there is one, and use it where it is fastest.
        cache_dir: where built engines are kept; None is ``engines`` under the data folder.
        cache_limit_mb: how much of them is kept; the longest unused go first.
        build_memory_mb: GPU memory that the builder may use for scratch.
    """

    backend: Backend = "auto"
    cuda: CudaBinding = "cuda-bindings"
    precision: TensorRtPrecision = "float32"
    buckets: tuple[Annotated[int, Field(ge=1, le=_LARGEST_BUCKET)], ...] = Field(
        default=BATCH_BUCKETS, min_length=1
    )
    slots: int = Field(default=3, ge=1, le=16)
    cuda_graphs: bool = True
    allow_cpu: bool = True
    nvforest: bool = False
    cache_dir: Path | None = None
    cache_limit_mb: int = Field(default=2_048, ge=1)
    build_memory_mb: int = Field(default=1_024, ge=16)

    @field_validator("buckets")
    @classmethod
    def _ascend_from_one(cls, buckets: tuple[int, ...]) -> tuple[int, ...]:
        if buckets[0] != 1 or list(buckets) != sorted(set(buckets)):
            raise ValueError("batch sizes ascend from 1, such as [1, 8, 32, 128, 512, 2048, 4096]")
        return buckets
