"""The command that installs what is missing is one that works from where spindb was installed."""

from __future__ import annotations

import json
import re
import shlex
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from spindb.errors import SpindbError
from spindb.extras import _EXTRAS, install_command, require_extra, require_modules


@pytest.fixture
def installed_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """spindb's metadata as pip leaves them after an installation from somewhere."""

    def install(direct_url: dict[str, Any] | str | None) -> None:
        found = tmp_path / "spindb-99.dist-info"
        found.mkdir()
        (found / "METADATA").write_text("Metadata-Version: 2.1\nName: spindb\nVersion: 99\n")
        if direct_url is not None:
            text = direct_url if isinstance(direct_url, str) else json.dumps(direct_url)
            (found / "direct_url.json").write_text(text)
        monkeypatch.syspath_prepend(str(tmp_path))
        assert metadata.version("spindb") == "99"

    return install


@pytest.mark.parametrize(
    ("direct_url", "words"),
    [
        (None, ["spindb[torch]"]),
        ("{", ["spindb[torch]"]),
        ("[]", ["spindb[torch]"]),
        ({"url": "file:///home/a%20b/spindb", "dir_info": {}}, ["/home/a b/spindb[torch]"]),
        ({"url": "file:///src/spindb", "dir_info": {"editable": True}}, ["--editable", "/src/spindb[torch]"]),
        ({"url": "file:///w/spindb-1.whl", "archive_info": {}}, ["spindb[torch] @ file:///w/spindb-1.whl"]),
        (
            {"url": "https://h.example/spindb", "vcs_info": {"vcs": "git", "commit_id": "1f"}},
            ["spindb[torch] @ git+https://h.example/spindb@1f"],
        ),
    ],
)
def test_the_command_names_where_spindb_came_from(installed_from: Any, direct_url: Any, words: list[str]) -> None:
    installed_from(direct_url)
    assert shlex.split(install_command("torch")) == ["pip", "install", *words]


def test_a_module_of_no_extra_is_named_itself() -> None:
    with pytest.raises(SpindbError, match="this needs left_pad, which is not installed") as caught, require_extra():
        import left_pad  # type: ignore[import-not-found] # noqa: F401
    assert caught.value.hint == "pip install left_pad"


def test_what_is_needed_is_asked_for_at_once(installed_from: Any) -> None:
    installed_from(None)
    require_modules("json", "re")
    with pytest.raises(SpindbError, match="this needs left_pad, which is not installed"):
        require_modules("json", "left_pad")
    assert install_command("tensorflow", "scipy", "matplotlib") == "pip install 'spindb[analysis,tensorflow]'"


def test_a_missing_module_of_our_own_is_no_missing_extra() -> None:
    with pytest.raises(ModuleNotFoundError), require_extra():
        import spindb.nowhere  # type: ignore[import-not-found] # noqa: F401


def test_the_extras_are_those_of_the_package() -> None:
    """Each module is brought by the extra that is named for it."""
    declared = metadata.requires("spindb") or []
    brought_by = {"Box2D": "box2d", "keras": "tensorflow", "imageio_ffmpeg": "imageio"}
    for extra, modules in _EXTRAS.items():
        brings = " ".join(one for one in declared if re.search(rf"extra == ['\"]{extra}['\"]", one))
        for module in modules:
            assert re.search(rf"\b{brought_by.get(module, module)}\b", brings), (extra, module)
