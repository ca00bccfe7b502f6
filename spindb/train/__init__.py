"""Training: how a run was launched."""
