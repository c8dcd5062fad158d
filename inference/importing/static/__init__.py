"""Checks of a foreign ONNX file without running it: operators, sizes, external data, opsets."""
