"""Types of files, which know no run: pickles, protocol buffers, SavedModels, files of PyTorch, ONNX."""
