"""Records a rollout as a video: a frame per step, with episode, return and value drawn on it if asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from spindb.errors import EnvironmentBuildError, UsageError
from spindb.extras import require_extra
from spindb.play.arrays import Action, Observation
from spindb.play.environments.adapter import Environment
from spindb.play.policies import Policy

SUFFIXES = (".mp4", ".gif")
_FRAMES_PER_SECOND = 30


def require_suffix(path: Path) -> None:
    """Refuse what is neither .mp4 nor .gif, before anything is played.

    Raises:
        UsageError: it is another, or its directory is not there.
    """
    if path.suffix not in SUFFIXES:
        raise UsageError(f"{path} is neither .mp4 nor .gif")
    if not path.parent.is_dir():
        raise UsageError(f"the directory {path.parent} does not exist")


class Recorder:
    """Takes a frame of the environment after each step; a `spindb.play.rollouts.rollout.Trace`.

    With a `captions` policy the episode, the return so far and, where the policy knows it, the value are drawn on each.
    """

    def __init__(self, environment: Environment, path: Path, captions: Policy | None = None) -> None:
        with require_extra():
            import imageio.v2 as imageio  # an extra
        self._environment = environment
        self._captions = captions
        self._episode, self._return = 0, 0.0
        rate = environment.frames_per_second or _FRAMES_PER_SECOND
        options: dict[str, Any] = {"fps": rate} if path.suffix == ".mp4" else {"duration": 1000 / rate, "loop": 0}
        if path.suffix == ".mp4":
            options |= {"macro_block_size": 2, "output_params": ["-loglevel", "error"]}
        if path.is_symlink() or path.is_file():  # the writer would follow a link, and write into each hard link
            path.unlink()
        self._writer = imageio.get_writer(path, **options)

    def step(self, observation: Observation, action: Action, reward: float) -> None:
        """Take a frame."""
        self._return += reward
        frame = self._environment.frame()
        if frame is None:
            raise EnvironmentBuildError(
                "this environment gives no pictures (render_mode='rgb_array')",
                hint="a factory of your own must take render_mode",
            )
        self._writer.append_data(self._with_caption(frame, observation) if self._captions else frame)

    def end(self) -> None:
        """The next step begins another episode."""
        self._episode, self._return = self._episode + 1, 0.0

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()

    def _with_caption(self, frame: Any, observation: Observation) -> Any:
        from PIL import Image, ImageDraw  # comes with that extra

        assert self._captions is not None
        text = f"episode {self._episode}  return {self._return:.1f}"
        if self._captions.has("v"):
            text += f"  value {float(self._captions.value(observation)):.1f}"
        image = Image.fromarray(np.ascontiguousarray(frame))
        draw = ImageDraw.Draw(image)
        draw.rectangle(draw.textbbox((8, 6), text), fill="white")
        draw.text((8, 6), text, fill="black")
        return np.asarray(image)
