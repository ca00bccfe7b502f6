"""File types, independent of runs: pickles, protocol buffers, SavedModels, PyTorch files, ONNX."""
