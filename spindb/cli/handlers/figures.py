"""What draws with matplotlib, for `spindb.cli.handlers.plot`: imported when a figure is drawn."""

from __future__ import annotations

from spindb.extras import require_extra

with require_extra():
    from spindb.analysis.drawing import plots as plots
