"""From disk to index: scan, read, write; follow training; verify and rebuild."""
