"""Training: trees, autoencoder and calibration, put together in one ONNX graph."""
