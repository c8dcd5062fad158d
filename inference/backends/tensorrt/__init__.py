"""The GPU engine: TensorRT or TensorRT-RTX behind the engine seam."""
