"""The command line: parses, calls down, prints. stdout is data, stderr is words."""

import gc

gc.set_threshold(100_000)  # what a command loads is no garbage: to look for some takes a twentieth of its time
