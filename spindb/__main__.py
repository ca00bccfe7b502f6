"""``python -m spindb``."""

from spindb.cli.app import main

if __name__ == "__main__":
    main()
