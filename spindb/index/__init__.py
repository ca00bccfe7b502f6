"""The database: an index of runs that can be rebuilt, and what people added, which can't."""
