"""Evaluation of saved graphs: numpy or TensorFlow, with limits and a list of allowed operations."""
