"""How a database is opened, guarded and read."""
