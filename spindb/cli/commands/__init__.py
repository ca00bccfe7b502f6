"""One file for each command, or for a small family of them; `spindb.cli.app` lists them."""
