"""What keeps a database sound: checks, copies, statistics."""
