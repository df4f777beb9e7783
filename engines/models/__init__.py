"""The shipped networks: ONNX files with their cards inside."""
