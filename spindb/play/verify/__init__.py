"""Is this the agent that was trained? Plays snapshots as their return was logged, and compares."""
