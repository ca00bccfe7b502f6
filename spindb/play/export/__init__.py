"""What takes policies to other stacks: a plan in ONNX's operations, the files it is written to."""
