"""Makes model packages of ONNX files that other frameworks exported."""
