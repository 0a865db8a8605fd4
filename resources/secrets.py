"""Secrets: read from the environment or from one file that only its owner can read, and kept out of every text.

A secret NAME is the variable `UPSWELL_NAME`, else the line `UPSWELL_NAME=...` of the file that `UPSWELL_SECRETS`
names, else of `secrets.env` in the home. What was read here once is what `redact` takes out. Nothing here knows what a
secret is for.
"""

import contextlib
import fcntl
import hashlib
import logging
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.parse import quote, quote_plus

_PREFIX = "UPSWELL_"
_SETTINGS = frozenset({"UPSWELL_HOME", "UPSWELL_SECRETS"})
_SHORTEST = 8
_SHORTEST_SALT = 16
_known: dict[str, str] = {}
_lock = threading.Lock()


class SecretsError(ValueError):
    """A secret is not there or not safe; says the way out, never a value."""


def secret(name: str, home: Path) -> str:
    """The value of a secret, such as `youtube_api_key`.

    Raises:
        SecretsError: There is none of that name, others can read its file, or it is too short to be told from a word.
    """
    value = find(name, home)
    if value is None:
        raise SecretsError(
            f"no secret {name}: set {variable(name)} in the environment, "
            f"or write the line {variable(name)}=... to {secrets_file(home)} (mode 0600)"
        )
    return value


def find(name: str, home: Path) -> str | None:
    """The value of a secret, or None where there is none.

    Raises:
        SecretsError: Others can read its file, or it is too short.
    """
    variable_name = variable(name)
    value = os.environ.get(variable_name, "").strip() or _read(secrets_file(home)).get(variable_name)
    if not value:
        return None
    if len(value) < _SHORTEST:
        raise SecretsError(f"{variable_name} has {len(value)} characters; a secret has at least {_SHORTEST}")
    conceal(value, name)
    return value


def variable(name: str) -> str:
    """The variable, and the line of the file, that holds a secret."""
    return _PREFIX + name.upper()


def secrets_file(home: Path) -> Path:
    """The file of secrets: the one that `UPSWELL_SECRETS` names, else `secrets.env` in the home."""
    named = os.environ.get("UPSWELL_SECRETS")
    return Path(named).expanduser() if named else home / "secrets.env"


def salt(home: Path) -> str:
    """The salt of the home's hashes; made and kept in the file of secrets on first use.

    Raises:
        SecretsError: It cannot be kept, or is too short to hide what is hashed with it.
    """
    value = find("salt", home) or _make_salt(home)
    if len(value) < _SHORTEST_SALT:
        raise SecretsError(f"{variable('salt')} has {len(value)} characters; a salt has at least {_SHORTEST_SALT}")
    return value


def hashed(salt: str, value: str) -> str:
    """What stands for a personal value everywhere in a home: the sha256 of salt and value, in hex."""
    return hashlib.sha256(f"{salt}{value}".encode()).hexdigest()


# The file ---------------------------------------------------------------------------------------------------------------


def _read(path: Path) -> dict[str, str]:
    """The lines of a file of secrets; every value in it is concealed from then on."""
    try:
        with path.open(encoding="utf-8") as file:
            _check_mode(path, os.fstat(file.fileno()))
            text = file.read()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise SecretsError(f"{path} cannot be read: {type(error).__name__}") from None
    return _parse(text)


def _check_mode(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise SecretsError(f"{path} is no file")
    if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        mode = stat.S_IMODE(status.st_mode)
        raise SecretsError(f"{path} has mode {mode:04o}, others can reach it: chmod 600 {path}")


def _parse(text: str) -> dict[str, str]:
    """`NAME=value` lines, as a shell would take them: `export`, quotes, and lines of comment."""
    values = {}
    for line in text.splitlines():
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        value = value.strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        name = name.strip()
        if equals and value and not name.startswith("#"):
            values[name] = value
            conceal(value, name.removeprefix(_PREFIX).lower())
    return values


def _make_salt(home: Path) -> str:
    """A new salt, kept before it is used; of several processes that make one at once, one wins."""
    path = secrets_file(home)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "r+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            _check_mode(path, os.fstat(file.fileno()))
            text = file.read()
            kept = _parse(text).get(variable("salt"))
            if kept:
                return kept
            value = token_hex(32)
            conceal(value, "salt")
            file.write(f"{'' if text.endswith(chr(10)) or not text else chr(10)}{variable('salt')}={value}\n")
            file.flush()
            os.fsync(file.fileno())
            return value
    except OSError as error:
        raise SecretsError(
            f"the salt cannot be kept in {path} ({error.strerror}): make it writable, or set {variable('salt')}"
        ) from None


# Keeping them out of texts ----------------------------------------------------------------------------------------------


def conceal(value: str, name: str = "secret") -> None:
    """Makes `redact` take out a value from now on, also as it is written in a URL."""
    if len(value) < _SHORTEST:
        return
    with _lock:
        for form in {value, quote(value, safe=""), quote_plus(value)}:
            _known[form] = name


def redact(text: str) -> str:
    """The text without any secret that this process has read or that its environment holds."""
    for variable_name, value in os.environ.items():
        if variable_name.startswith(_PREFIX) and variable_name not in _SETTINGS and value not in _known:
            conceal(value, variable_name.removeprefix(_PREFIX).lower())
    with _lock:
        known = sorted(_known.items(), key=lambda item: -len(item[0]))
    for value, name in known:
        if value in text:
            text = text.replace(value, f"[{name}]")
    return text


def guard_logs() -> None:
    """Makes every record that this process logs from now on one without secrets, whoever logs it and whoever reads it."""
    factory = logging.getLogRecordFactory()
    if not isinstance(factory, _Redacting):
        logging.setLogRecordFactory(_Redacting(factory))


class _Redacting:
    """A factory of log records that redacts the message and the traceback of those that hold a secret."""

    def __init__(self, factory: Callable[..., logging.LogRecord]) -> None:
        self._factory = factory

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = self._factory(*args, **kwargs)
        with contextlib.suppress(Exception):  # a message that does not fit its arguments is reported by logging itself
            said = record.getMessage()
            clean = redact(said)
            if clean != said:
                record.msg, record.args = clean, ()
            if record.exc_info and record.exc_info[0] is not None:
                trace = logging.Formatter().formatException(record.exc_info)
                clean = redact(trace)
                if clean != trace:
                    record.exc_text, record.exc_info = clean, None
        return record
