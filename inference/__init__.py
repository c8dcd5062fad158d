"""Engines, model packages, training, registry, policy, evaluation and the scorer."""

import os

# ONNX Runtime sends events about models to its makers unless it is told not to before it is
# imported, and writes an id of this machine into the home of its user for that.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
