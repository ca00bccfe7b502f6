"""What belongs to a run itself, and what to its setting: decided by how a key and a value are spelled.

Two runs are of one setting where they differ in nothing but the seed. A configuration holds more than settings, though:
where the run wrote to, when and where it ran, which process it was. Such values are left out of the comparison. Each
is judged alone, by its key and its text and the seed of its run, never by what other runs hold: whether two runs are of
one setting must not depend on which further runs are looked at.

============================================== =========================================================
belongs to the run                             stays part of the setting
============================================== =========================================================
seeds: ``seed``, ``env_seed``                  ``seed_steps``, true and false
directories, and paths that are written to     files that are read: ``model_xml=/models/ant.xml``,
                                               ``dataset_dir=/data/hopper``; the ids of environments
dates and times, hosts, URLs                   numbers under other keys
ids of processes, jobs and runs; GPU numbers   ``cpu``, ``gpus``
whether and from where it was resumed          ``load_path``, ``init_from``
============================================== =========================================================

What names the run inside a text that stays is replaced by ``*``: its seed where that is marked as one (``_s0``,
``-seed3``), a date, the address of an object.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache

from spindb.index.database.unknown import json_value

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_OF_THE_RUN = frozenset({
    "computer", "createdat", "cudadevice", "cudaid", "cwd", "date", "datetime", "deviceid", "gpu", "gpuid",
    "gpuindex", "guid", "host", "hostname", "ip", "jobid", "jobname", "launchtime", "localrank", "machine", "node",
    "nodelist", "nodename", "pid", "port", "ppid", "replicate", "restarted", "resume", "resumed", "resumeepoch",
    "resumefrom", "resumepath", "run", "runid", "runidx", "runindex", "runname", "runnumber", "server", "slurmid",
    "slurmjobid", "startedat", "starttime", "taskid", "timestamp", "trial", "trialid", "user", "username", "uuid",
    "wandbid", "wandbname", "wandbrunid", "workdir", "workingdir", "workingdirectory",
})  # fmt: skip
_WRITTEN = frozenset({
    "checkpoint", "checkpoints", "ckpt", "ckpts", "cwd", "dump", "exp", "expdir", "experiment", "experiments",
    "home", "log", "logdir", "logger", "logging", "logpath", "logs", "out", "outdir", "outpath", "output",
    "outputdir", "outputpath", "outputs", "result", "resultdir", "results", "run", "rundir", "runs", "save",
    "saved", "savedir", "savepath", "saves", "scratch", "snapshot", "snapshots", "tb", "temp", "tensorboard", "tmp",
    "video", "videos", "wandb", "work", "workdir", "working",
})  # fmt: skip
_READ = frozenset({
    "asset", "assets", "dataset", "datasets", "demo", "demonstration", "demonstrations", "demos", "env",
    "environment", "expert", "game", "init", "initial", "input", "inputs", "load", "loaded", "map", "pretrained",
    "restore", "rom", "scene", "source", "teacher", "urdf", "vocab", "xml",
})  # fmt: skip
_PLACE = frozenset({
    "dir", "directory", "dirs", "file", "filename", "folder", "logdir", "outdir", "path", "paths", "root", "rundir",
    "savedir", "workdir",
})  # fmt: skip
_RESUMED = ("resume", "resumed", "restarted")  # a run that goes on is of the setting that it began with
_YES_OR_NO = ("true", "false")
_OF_TIME = frozenset({
    "created", "date", "datetime", "launched", "start", "started", "time", "timestamp",
})  # fmt: skip

_DAYS = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*"
_MONTHS = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*"
_CLOCK = r"[0-2]?\d[-:._h]?[0-5]\d(?:[-:._m]?[0-5]\d(?:\.\d+)?)?s?(?:Z|[+-]\d\d:?\d\d)?"
_DATE = re.compile(
    rf"(?<![0-9A-Za-z])(?:"
    rf"(?:19|20)\d\d[-_/.]?(?:0[1-9]|1[0-2])[-_/.]?(?:0[1-9]|[12]\d|3[01])(?:[T _-]{{1,2}}{_CLOCK})?"
    rf"|(?:{_DAYS},?[ _-]+)?{_MONTHS}[ _-]*[0-3]?\d(?:[ _-]+{_CLOCK})(?:[ _-]+(?:19|20)\d\d)?"
    rf"|(?:0[1-9]|1[0-2])[-_/.](?:0[1-9]|[12]\d|3[01])[-_/.](?:19|20)\d\d(?:[T _-]{{1,2}}{_CLOCK})?"
    rf"|1[5-9]\d{{8}}(?:\.\d+)?"  # seconds since 1970
    rf")(?![0-9A-Za-z])"
)
_ADDRESS = re.compile(r"0x[0-9a-fA-F…]+")
_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\Z")
_HOST = re.compile(r"(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?\Z")
_ROOTED = re.compile(r"/.|~|\.{1,2}[\\/]|[A-Za-z]:[\\/]|\\\\|[a-z][a-z0-9+.-]*://")
_FILE = re.compile(r"[^\\/]\.[A-Za-z][A-Za-z0-9]{0,6}\Z")
_GPU = re.compile(r"cuda:\d+\Z")
_MARKED = re.compile(r"(?:(?<![A-Za-z0-9])s=?|seeds?[ _=:.-]?)-?\d", re.IGNORECASE)
_PERIOD = (1_000_000_000, 5_000_000_000)  # seconds: 2001 to 2128


def setting_text(key: str, text: str, seed: int | None) -> str | None:
    """What of a hyperparameter belongs to the setting of its run.

    Args:
        key: its dotted path.
        text: its canonical text; see `spindb.canonical`.
        seed: the seed of its run.

    Returns:
        The canonical text to compare settings by; None where the value belongs to the run.
    """
    if key_of_run(key) and (text not in _YES_OR_NO or _words(key)[0] in _RESUMED):
        return None
    if text[0] == '"':
        return _text(key, text, seed)
    if text[0] == "[" and '"' in text:
        return _list(key, text, seed)
    return None if _is_time(key, text) else text


def depends_on_seed(text: str) -> bool:
    """Whether another seed of the run could make another `setting_text` of this value."""
    return _MARKED.search(text) is not None


def stem(name: str, seed: int | None) -> str:
    """A name with ``*`` for what names the run in it: its seed where that is marked as one, and dates.

    >>> stem("walk_s3", 3), stem("td3", 3), stem("walk_lr1", 1)
    ('walk_s*', 'td3', 'walk_lr1')
    """
    return _DATE.sub("*", _without_seed(name, seed))


@lru_cache(maxsize=65536)
def key_of_run(key: str) -> bool:
    """Whether all values of this key belong to the run."""
    words = _words(key)
    return bool(words) and (words[-1] in ("seed", "seeds") or "".join(words) in _OF_THE_RUN)


@lru_cache(maxsize=65536)
def _words(key: str) -> tuple[str, ...]:
    """The words of a key's last part, in lower case: of ``args.saveDir`` and ``save_dir`` they are save, dir."""
    return tuple(word.lower() for word in _WORD.findall(key.rpartition(".")[2]))


def _text(key: str, text: str, seed: int | None) -> str | None:
    value = json_value(text)
    if _UUID.match(value) or _HOST.match(value):
        return None
    if _GPU.match(value):
        return '"cuda"'
    if _is_own_path(_words(key), value):
        return None
    shown = stem(_ADDRESS.sub("0x…", value) if "0x" in value else value, seed)
    if shown == value:
        return text
    return json.dumps(shown, ensure_ascii=False) if any(char.isalnum() for char in shown) else None


def _list(key: str, text: str, seed: int | None) -> str | None:
    """A list of texts: what all of it is, it is."""
    items = json_value(text)
    kept = [
        setting_text(key, json.dumps(item, ensure_ascii=False), seed) if isinstance(item, str) else text
        for item in items
    ]
    return None if all(item is None for item in kept) else text


def _is_own_path(words: tuple[str, ...], value: str) -> bool:
    """Whether a text is a path that belongs to the run: all but files and directories that it read."""
    names = frozenset(words)
    written, place = bool(names & _WRITTEN), bool(names & _PLACE)
    separators = value.count("/") + value.count("\\")
    if not separators and value[:1] != "~":
        return place and (written or len(names) == 1) and not _FILE.search(value)
    spelled = bool(_ROOTED.match(value)) or (separators > 1 and " " not in value)
    is_path = spelled or written or place or bool(names & _READ and _FILE.search(value))
    if not is_path:
        return False
    return written or not (names & _READ or _FILE.search(value))


def _is_time(key: str, text: str) -> bool:
    """Whether a number counts seconds or milliseconds since 1970, or spells a date, under a key that says so."""
    if not _OF_TIME.intersection(_words(key)) or not text[0].isdigit():
        return False
    try:
        number = float(text)
    except ValueError:
        return False
    low, high = _PERIOD
    return low < number < high or 1000 * low < number < 1000 * high or bool(_DATE.fullmatch(text[:8]))


def _without_seed(name: str, seed: int | None) -> str:
    if seed is None or not _MARKED.search(name):
        return name
    return _mark(seed).sub(lambda match: match[1] + "*", name)


@lru_cache(maxsize=4096)
def _mark(seed: int) -> re.Pattern[str]:
    """A seed that is marked as one: ``s3`` as a word of its own, or ``seed3``, ``seed_3``, ``seed=3`` anywhere."""
    digits = re.escape("-") * (seed < 0) + f"0*{abs(seed)}"
    return re.compile(rf"((?<![A-Za-z0-9])s=?|seeds?[ _=:.-]?){digits}(?![0-9A-Za-z]|\.\d)", re.IGNORECASE)
