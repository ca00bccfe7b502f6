"""Episodes as they are played, and what is kept of them: videos, values."""
