"""What each ONNX operator means: its shapes, its value on the host, its launches. One file per group of operators."""
