"""The command line: parses, calls down, prints. stdout is data, stderr is words."""
