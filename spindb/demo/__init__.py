"""A study of its own: trains a few small agents for real, so that there is something to look at."""
