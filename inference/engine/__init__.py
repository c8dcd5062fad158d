"""The engine seam: what every backend offers, its settings, and ONNX Runtime's sessions."""
