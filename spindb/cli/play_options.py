"""Options of the commands that play: which environment, and how a policy acts in it.

They are words alone: `spindb.cli.playing.options` says what they mean, and imports what plays.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

LATEST = -1
"""What ``--itr`` is for the latest snapshot."""

EnvId = Annotated[str | None, typer.Option(help="Environment id, of gymnasium or gym.")]
EnvFactory = Annotated[str | None, typer.Option(metavar="MODULE:FUNCTION", help="Call this for the environment.")]
Imports = Annotated[
    list[str] | None,
    typer.Option("--import", metavar="MODULE", help="Import this module first: it registers or holds environments."),
]
Trust = Annotated[bool, typer.Option("--trust", help="Allow code from the files to run, as a last resort.")]
Deterministic = Annotated[
    bool, typer.Option("--deterministic", "-d", help="Take the mean, or the most probable, action.")
]
Length = Annotated[int, typer.Option("--len", "-l", help="End an episode after so many steps; 0: no limit.")]
Jobs = Annotated[int | None, typer.Option(help="Parallel processes. (default: all cores)", min=1)]
ActionRule = Annotated[
    str | None,
    typer.Option(
        "--action",
        metavar="RULE",
        help="How outputs become actions, if the save leaves it open: argmax, sample, tanh, clip.",
    ),
]
WithoutWrappers = Annotated[
    bool,
    typer.Option(
        "--without-wrappers", help="Leave out saved wrappers that can't be rebuilt; if all can, leave out all."
    ),
]
Forces = Annotated[
    str | None,
    typer.Option(
        "--contact-forces",
        metavar="real|zero",
        help="What Ant and Humanoid up to -v3 observe of them. (default: as the policy's weights say)",
    ),
]

# Of test-policy alone.
PlayedRun = Annotated[
    str | None,
    typer.Argument(metavar="[RUN]", help="Output directory, or a run's id, name or beginning of a name."),
]
RunIdOption = Annotated[int | None, typer.Option("--run-id", help="The run by its id.")]
Itr = Annotated[int, typer.Option("--itr", "-i", help="Which snapshot; -1: the latest.")]
Episodes = Annotated[int, typer.Option("--episodes", "-n", help="How many episodes.")]
NoRender = Annotated[bool, typer.Option("--norender", "-nr", help="Don't show it.")]
EngineName = Annotated[str, typer.Option(help="What evaluates it: auto, numpy, tensorflow.")]
Seed = Annotated[int | None, typer.Option(help="Seed the environment and the policy.")]
Values = Annotated[
    Path | None,
    typer.Option("--values", help="Write predicted values beside realised returns: .csv, .png, .svg, .pdf."),
]
Gamma = Annotated[
    float | None, typer.Option(help="Discount of those returns. (default: the config's, else 0.99)", min=0, max=1)
]
Faithful = Annotated[
    bool, typer.Option("--faithful", help="Replay what the original would have printed, draw by draw.")
]
Video = Annotated[Path | None, typer.Option("--record", help="Record a video: .mp4 or .gif; needs no display.")]
Captions = Annotated[bool, typer.Option("--captions", help="Draw episode, return and value on it.")]
Keep = Annotated[bool, typer.Option(" /--no-record", help="Keep nothing in the database.", show_default=False)]

# Of sweep and verify, which play many snapshots.
SweepEpisodes = Annotated[int, typer.Option("--episodes", "-n", help="How many for each snapshot.", min=1)]
SameSeed = Annotated[int, typer.Option(help="Seed environment and policy, the same for each snapshot.", min=0)]
SweepPlot = Annotated[Path | None, typer.Option("--out", "-o", help="Plot return over itr: .png, .svg or .pdf.")]
VerifiedItr = Annotated[int, typer.Option("--itr", "-i", help="Which snapshot of each run; -1: the latest.")]
AllSnapshots = Annotated[bool, typer.Option("--all-snapshots", help="Every snapshot of each run.")]
FirstEpisodes = Annotated[
    int,
    typer.Option("--episodes", "-n", help="How many for each snapshot; more where their spread needs it.", min=1),
]
Most = Annotated[int, typer.Option("--most", help="How many at most.", min=1)]
Strict = Annotated[bool, typer.Option("--strict", help="Where the log is too coarse to tell, don't call it agreement.")]
Again = Annotated[bool, typer.Option("--again", help="Also what has a verdict already.")]
Statement = Annotated[
    Path | None, typer.Option("--statement", metavar="FILE", help="Write the verdicts, to be repeated elsewhere.")
]
Check = Annotated[Path | None, typer.Option("--check", metavar="FILE", help="Repeat what such a file says.")]

# Of export-policy.
ExportItr = Annotated[int | None, typer.Option("--itr", "-i", help="Which snapshot. (default: the latest)")]
Onnx = Annotated[bool, typer.Option("--onnx", help="As an ONNX model, checked by running it.")]
Npz = Annotated[bool, typer.Option("--npz", help="As numpy arrays and the list of operations.")]
WithWrappers = Annotated[
    bool,
    typer.Option("--with-wrappers", help="With what the saved wrappers do to observations and actions."),
]
InnerEnvId = Annotated[str | None, typer.Option(help="The environment inside the wrappers, by its id.")]
ExportFile = Annotated[Path | None, typer.Option("--out", "-o", help="The file. (default: the run's name, here)")]


@dataclass(frozen=True, slots=True)
class EnvironmentFlags:
    """What was typed of the environment and of how actions are made, as it was typed."""

    env: str | None = None
    factory: str | None = None
    imports: list[str] | None = None
    trust: bool = False
    action: str | None = None
    without_wrappers: bool = False
    contact_forces: str | None = None
