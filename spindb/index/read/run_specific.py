"""What belongs to a run itself, and what to its setting: decided by how a key and a value are spelled.

Two runs are of one setting where they differ in nothing but the seed. A configuration holds more than settings, though:
where the run wrote to, when and where it ran, which process it was. Such values are left out of the comparison where
key and value say so together; in doubt a value tells settings apart. Each is judged alone, by its key, its text and the
names and the seed of its run, never by what other runs hold.

============================================== =========================================================
belongs to the run                             stays part of the setting
============================================== =========================================================
seeds: ``seed``, ``env_seed``                  ``seed_steps``, ``n_seed``, true and false
paths under keys of output: ``log_dir``,       ``data_dir=/data/hopper``, ``layers=64/64/32``,
``save_path``; absolute paths with the         ``load_path``
run's own name
moments: ``2021-03-04 12:30:00``;              ``date_range``, ``d4rl_2021-03-01``; ``start_date=2021-03-04``
dates under ``date``, ``created``
hosts, ids of processes, jobs, runs, GPUs      ``task_id``, ``trial``, ``port``, ``node``, ``machine``
the command line: ``command``, ``argv``        ``git_hash``
whether and from where it was resumed          ``resume_lr``, ``init_from``
============================================== =========================================================

A value that is the run's own name is compared without its seed, where that is marked as one (``_s0``, ``-seed3``), and
without the moment in it. Addresses of objects (``at 0x7f…``) never count.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache

from spindb.index.database.unknown import json_value
from spindb.seedkeys import is_seed, words_of_key

# Keys are compared as one lower-case word without separators (`words`), so that job_id, jobId and JobID are one. A key
# is here only where no training depends on its value: a wrong entry would average different settings silently.
_TEXT_OF_THE_RUN = frozenset({
    "argv", "cmd", "cmdline", "command", "commandline", "guid", "host", "hostname", "jobid", "jobname", "nodelist",
    "nodename", "runid", "runuuid", "slurmid", "slurmjobid", "slurmnodelist", "trialid", "username", "uuid",
    "wandbid", "wandbname", "wandbrunid",
})  # fmt: skip
# Numbers count as the run's own only under these keys: any other number may be a hyperparameter.
_NUMBER_OF_THE_RUN = frozenset({
    "cudadevice", "cudaid", "deviceid", "gpu", "gpuid", "gpuindex", "jobid", "localrank", "pid", "ppid", "processid",
    "runid", "runidx", "runindex", "runnumber", "slurmid", "slurmjobid", "wandbid",
})  # fmt: skip
_ADDRESSES = frozenset({
    "addr", "address", "host", "hostaddress", "hostip", "hostname", "ip", "ipaddress", "masteraddr", "masteraddress",
})  # fmt: skip
# What a run writes names the run; what it reads (data, weights, demonstrations) belongs to its setting. Where a key has
# words of both, reading wins: taking two settings for one is the worse mistake.
_WRITTEN = frozenset({
    "checkpoint", "checkpoints", "ckpt", "ckpts", "dump", "exp", "experiment", "experiments", "log", "logger",
    "logging", "logs", "out", "output", "outputs", "record", "result", "results", "run", "runs", "save", "saved",
    "saves", "scratch", "snapshot", "snapshots", "store", "tb", "temp", "tensorboard", "tmp", "video", "videos",
    "wandb", "work", "working",
})  # fmt: skip
_READ = frozenset({
    "asset", "assets", "data", "dataset", "datasets", "demo", "demonstration", "demonstrations", "demos", "expert",
    "from", "init", "initial", "input", "inputs", "load", "loaded", "pretrained", "restore", "rom", "scene", "source",
    "teacher", "urdf", "vocab", "xml",
})  # fmt: skip
_DIRECTORY = frozenset({"dir", "directory", "dirs", "folder"})
_PLACE = _DIRECTORY | {"file", "filename", "path", "paths", "prefix", "root"}
_ONE_WORD = re.compile(
    "(?:check|ckpt|exp|log|out|output|result|results|run|save|tb|work)(?:dir|folder|path|file|root)|cwd"
)
_ALONE = frozenset({"checkpoint", "checkpoints", "log", "logs", "out", "output", "result", "results", "save"})
_RESUMED = frozenset({
    "restarted", "restartedfrom", "resume", "resumecheckpoint", "resumed", "resumedfrom", "resumedir", "resumeepoch",
    "resumefile", "resumefrom", "resumepath",
})  # fmt: skip
_OF_TIME = frozenset({"created", "date", "datetime", "launched", "started", "time", "timestamp"})
_WITH_TIME = _OF_TIME | {"at", "exp", "experiment", "job", "launch", "run", "start", "unix", "wall"}

# Stamps as loggers write them into names: 2024-05-01_12-30-00, 20240501_123000, Wed_May__1_12:30:00_2024, 1714566600.
_DAY = r"(?:19|20)\d\d[-_/.]?(?:0[1-9]|1[0-2])[-_/.]?(?:0[1-9]|[12]\d|3[01])"
_CLOCK = (
    r"(?:[0-2]?\d[-:._h][0-5]\d(?:[-:._m][0-5]\d(?:\.\d+)?)?s?|[0-2]\d[0-5]\d[0-5]\d)(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?"
)
_MONTH = (
    "(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?"
    "|Nov(?:ember)?|Dec(?:ember)?)"
)
_WEEKDAY = "(?:Mon(?:day)?|Tue(?:sday)?|Wed(?:nesday)?|Thu(?:rsday)?|Fri(?:day)?|Sat(?:urday)?|Sun(?:day)?)"
_SECONDS = r"1[5-9]\d{8}(?:\.\d+)?"  # since 1970
_MOMENT = (
    rf"(?:{_DAY}(?:T|[ _-]{{1,2}}){_CLOCK}"
    rf"|(?:{_WEEKDAY},?[ _-]+)?{_MONTH}[ _-]+[0-3]?\d[ _-]+"
    r"[0-2]?\d[:_-][0-5]\d(?:[:_-][0-5]\d)?(?:[ _-]+(?:19|20)\d\d)?)"
)
_DATE = re.compile(_DAY)
_IS_MOMENT = re.compile(_MOMENT)
_IN_A_NAME = re.compile(
    rf"(?<![0-9A-Za-z])(?:{_MOMENT}|{_SECONDS})(?![0-9A-Za-z])"
    r"|\A(?:19|20)\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])(?=[-_ ])"
)
_ADDRESS = re.compile(r"(?<=at )0x[0-9a-fA-F…]+")
_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_HOST = re.compile(r"(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?")
_ABSOLUTE = re.compile(r"/|~[\w.-]*[\\/]|[A-Za-z]:[\\/]|\\\\")
_SEPARATOR = re.compile(r"[\\/]")
_GPU = re.compile(r"cuda:\d+")
_WHOLE = re.compile(r"\d+")
_MARKED = re.compile(r"(?:(?<![A-Za-z0-9])s=?|seeds?[ _=:.-]?)-?\d", re.IGNORECASE)
# A learning rate or a number of steps under a key such as `start_time` is far outside of this period.
_PERIOD = (1_000_000_000, 5_000_000_000)  # seconds: 2001 to 2128


def setting_text(key: str, text: str, seed: int | None, names: Sequence[str] = ()) -> str | None:
    """What of a hyperparameter belongs to the setting of its run.

    Args:
        key: its dotted path.
        text: its canonical text; see `spindb.canonical`.
        seed: the seed of its run, which is cut off the names of the run.
        names: what the run is called: its experiment, its directory.

    Returns:
        The canonical text to compare settings by; None where the value belongs to the run.
    """
    # A flag such as `save` or `log` says how to train, not where; only whether it was resumed is the run's own.
    if text in ("true", "false"):
        return None if "".join(words_of_key(key)) in _RESUMED else text
    if is_seed(key):
        return None
    if text[0] == '"':
        return _text(key, text, seed, names)
    if text[0] == "[" and '"' in text:
        return _list(key, text, seed, names)
    return None if _is_number_of_the_run(key, text) or _is_time(key, text) else text


def depends_on_run(text: str, names: frozenset[str]) -> bool:
    """Whether another run could make another `setting_text` of this value; `names` are those of all runs, canonical."""
    return text in names or (text[0] in '"[' and _SEPARATOR.search(text) is not None)


def stem(name: str, seed: int | None) -> str:
    """A name with ``*`` for what names the run in it: its seed where that is marked as one, and moments.

    >>> stem("walk_s3", 3), stem("td3", 3), stem("walk_lr1", 1)
    ('walk_s*', 'td3', 'walk_lr1')
    """
    return without_seed(_IN_A_NAME.sub("*", name), seed)


def without_seed(name: str, seed: int | None) -> str:
    """A name with ``*`` for this seed: ``s3`` at its end, ``seed3``, ``seed_3``, ``seed=3`` anywhere."""
    if seed is None or not _MARKED.search(name):
        return name
    return _mark(seed).sub(lambda match: f"{match[1] or match[2]}*", name)


def _text(key: str, text: str, seed: int | None, names: Sequence[str]) -> str | None:
    value = json_value(text)
    said = words_of_key(key)
    if _is_text_of_the_run(said, value) or _is_moment(said, value) or _is_own_path(said, value, names):
        return None
    # Which card a run had is chance; that it had one may matter.
    if _GPU.fullmatch(value):
        return '"cuda"'
    if value in names:
        value = stem(value, seed)
        return json.dumps(value, ensure_ascii=False) if any(char.isalnum() for char in value) else None
    if "at 0x" in value:
        return json.dumps(_ADDRESS.sub("0x…", value), ensure_ascii=False)
    return text


def _list(key: str, text: str, seed: int | None, names: Sequence[str]) -> str | None:
    """A list of texts: what all of it is, it is."""
    items = json_value(text)
    own = (isinstance(i, str) and _text(key, json.dumps(i, ensure_ascii=False), seed, names) is None for i in items)
    return None if all(own) else text


def _is_text_of_the_run(said: Sequence[str], value: str) -> bool:
    """Whether a text is a host, the id of a process, a job or a run, or where a run was resumed from."""
    joined = "".join(said)
    if joined in _RESUMED or joined in _TEXT_OF_THE_RUN:
        return True
    if joined in _ADDRESSES and _HOST.fullmatch(value):
        return True
    if joined == "runname" and _IN_A_NAME.search(value):
        return True
    return bool(said) and said[-1] in ("uuid", "guid", "id") and not _READ & set(said) and bool(_UUID.fullmatch(value))


def _is_number_of_the_run(key: str, text: str) -> bool:
    joined = "".join(words_of_key(key))
    if joined in _RESUMED:
        return text == "null" or joined == "resumeepoch"
    return joined in _NUMBER_OF_THE_RUN and bool(_WHOLE.fullmatch(text))


def _is_own_path(said: Sequence[str], value: str, names: Sequence[str]) -> bool:
    """Whether a text is a path that the run wrote to: by its key, or an absolute one that holds the run's own name."""
    found = frozenset(said)
    if found & _READ:
        return False
    joined = "".join(said)
    one_word = len(said) == 1 and _ONE_WORD.fullmatch(joined)
    if one_word or (found & _WRITTEN and found & _PLACE):
        is_path = bool(_SEPARATOR.search(value)) or value[:1] in ("~", ".")
        return is_path or bool(found & _DIRECTORY) or joined.endswith("dir")
    if not _ABSOLUTE.match(value):
        return False
    return joined in _ALONE or not set(_SEPARATOR.split(value)).isdisjoint(names)


def _is_moment(said: Sequence[str], value: str) -> bool:
    """Whether a text is the moment at which something of the run happened; a mere date where the key says so too."""
    if _IS_MOMENT.fullmatch(value):
        return True
    return bool(_DATE.fullmatch(value)) and _says_time(said) and "start" not in said


def _is_time(key: str, text: str) -> bool:
    """Whether a number counts seconds or milliseconds since 1970, or spells a date, under a key that says so."""
    if not text[0].isdigit() or not _says_time(words_of_key(key)):
        return False
    try:
        number = float(text)
    except ValueError:
        return False
    low, high = _PERIOD
    return low < number < high or 1000 * low < number < 1000 * high or bool(_DATE.fullmatch(text))


def _says_time(said: Sequence[str]) -> bool:
    return not _OF_TIME.isdisjoint(said) and _WITH_TIME.issuperset(said)


@lru_cache(maxsize=4096)
def _mark(seed: int) -> re.Pattern[str]:
    """A seed that is marked as one."""
    digits = re.escape("-") * (seed < 0) + f"0*{abs(seed)}"
    return re.compile(
        rf"(seeds?[ _=:.-]?){digits}(?![0-9A-Za-z]|\.\d)|((?<![A-Za-z0-9])s=?){digits}(?=[\s_*-]*\Z)", re.IGNORECASE
    )
