"""Libraries that only some jobs need are extras of the package; an error says how to install one that is missing."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from importlib.util import find_spec

from spindb.errors import SpindbError

_EXTRAS = {
    "tensorflow": ("tensorflow", "keras"),
    "torch": ("torch",),
    "gym": ("gym",),
    "box2d": ("Box2D", "box2d"),
    "mujoco": ("mujoco",),
    "onnx": ("onnx", "onnxruntime"),
    "video": ("imageio", "imageio_ffmpeg"),
    "postgresql": ("psycopg",),
    "analysis": ("matplotlib", "pandas", "pyarrow", "scipy", "uniplot"),
}
_BY_MODULE = {module: extra for extra, modules in _EXTRAS.items() for module in modules}


@contextmanager
def require_extra() -> Iterator[None]:
    """Imports inside may fail for want of an extra.

    Raises:
        SpindbError: a module is not installed; the hint is the command that installs it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module == "spindb":
            raise
        raise SpindbError(f"this needs {module}, which is not installed", hint=install_command(module)) from None


def require_modules(*modules: str) -> None:
    """Make sure that modules are installed, without importing them.

    Raises:
        SpindbError: some are not; the hint is the command that installs them.
    """
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        are = "is" if len(missing) == 1 else "are"
        raise SpindbError(f"this needs {', '.join(missing)}, which {are} not installed", hint=install_command(*missing))


def install_command(*modules: str) -> str:
    """The command that installs what brings modules: extras of spindb, from where spindb was installed.

    >>> installing("left_pad")
    'pip install left_pad'
    """
    extras = sorted({_BY_MODULE[module] for module in modules if module in _BY_MODULE})
    others = [module for module in modules if module not in _BY_MODULE]
    return " ".join(["pip install", *([_with(",".join(extras))] if extras else []), *others])


def _with(extra: str) -> str:
    """spindb with extras, as pip takes it: by the directory or address that it came from (PEP 610), else by name."""
    origin = _origin()
    url = str(origin.get("url", ""))
    if url.startswith("file://") and "dir_info" in origin:
        from urllib.parse import unquote, urlparse  # for a message alone

        place = shlex.quote(f"{unquote(urlparse(url).path)}[{extra}]")
        return f"--editable {place}" if origin["dir_info"].get("editable") else place
    if "vcs_info" in origin:
        commit = origin["vcs_info"].get("commit_id", "")
        return shlex.quote(f"spindb[{extra}] @ {origin['vcs_info'].get('vcs', 'git')}+{url}@{commit}")
    return shlex.quote(f"spindb[{extra}]" if not url else f"spindb[{extra}] @ {url}")


def _origin() -> dict[str, dict[str, str]]:
    """What pip noted of where spindb came from; nothing where it came from an index."""
    try:
        found = json.loads(metadata.distribution("spindb").read_text("direct_url.json") or "{}")
    except (metadata.PackageNotFoundError, OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
