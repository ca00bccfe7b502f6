"""``python -m spindb``, and the command ``spindb``.

Python puts the current directory before everything else for ``-m``: a ``json.py`` or ``numpy.py`` that lies among the
runs would be imported in place of the library. It is taken out before anything is imported; `os` and `sys` are imported
by Python itself at its start.
"""

import gc
import os
import sys

_SELDOM = 100_000  # allocations: nothing that a command imports is garbage, and looking for some takes 3 % of a query


def _without_current_directory() -> None:
    first = sys.path[0] if sys.path else None
    if first is None or getattr(sys.flags, "safe_path", False):  # with -P it is not there
        return
    try:
        here = os.path.realpath(os.getcwd())
    except OSError:  # it was deleted: the command says so, where it needs one
        here = None
    if first and os.path.realpath(first) != here:
        return
    del sys.path[0]
    if os.path.dirname(os.path.dirname(os.path.realpath(__file__))) == here:
        sys.path.append(first)  # a checkout that is not installed: spindb itself is found here, after all others


def main() -> None:
    """Run the command line and exit with its code; a signal ends it in words from the first import on."""
    try:
        from spindb.signals import end_at_once

        end_at_once()
    except KeyboardInterrupt:  # the handlers are not there yet
        os.write(2, b"interrupted by SIGINT\n")
        os._exit(130)

    gc.set_threshold(_SELDOM)  # here, where the process is the command's own
    from spindb.cli.app import run

    code = run()
    if code > 128:  # interrupted; where that passed through exec(), Python would end itself by SIGINT once more
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    _without_current_directory()
    main()
