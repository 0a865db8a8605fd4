"""Secrets come from the environment or a file that only its owner reads, and stay out of texts and logs."""

import io
import logging
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from resources import secrets
from resources.secrets import SecretsError, find, guard_logs, hashed, redact, salt, secret

KEY = "AIza-planted/key+0123456789"


@pytest.fixture(autouse=True)
def own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UPSWELL_SECRETS", raising=False)
    monkeypatch.setattr(secrets, "_known", {})


def written(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_the_environment_comes_before_the_file_and_a_named_file_before_that_of_the_home(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(home / "secrets.env", "# a comment\nUPSWELL_A_KEY=of-the-home\n")
    assert secret("a_key", home) == "of-the-home"
    named = written(tmp_path / "named", "export UPSWELL_A_KEY='of-the-file'\nUPSWELL_COOKIES=\"/a/path/of cookies\"")
    monkeypatch.setenv("UPSWELL_SECRETS", str(named))
    assert (secret("a_key", home), secret("cookies", home)) == ("of-the-file", "/a/path/of cookies")
    monkeypatch.setenv("UPSWELL_A_KEY", "of-the-environment")
    assert secret("a_key", home) == "of-the-environment"


def test_a_secret_that_lacks_or_that_others_can_read_says_the_way_out(home: Path) -> None:
    assert find("a_key", home) is None
    with pytest.raises(SecretsError, match=r"set UPSWELL_A_KEY .*secrets\.env \(mode 0600\)"):
        secret("a_key", home)
    written(home / "secrets.env", f"UPSWELL_A_KEY={KEY}", 0o640)
    with pytest.raises(SecretsError, match=r"mode 0640.*chmod 600") as error:
        secret("a_key", home)
    assert KEY not in str(error.value)


def test_a_secret_too_short_to_be_found_in_a_text_is_refused(home: Path) -> None:
    written(home / "secrets.env", "UPSWELL_A_KEY=word\nUPSWELL_SALT=longer-than-8")
    with pytest.raises(SecretsError, match="at least 8"):
        secret("a_key", home)
    with pytest.raises(SecretsError, match="at least 16"):
        salt(home)


def test_the_salt_is_made_once_and_kept_beside_what_was_there(home: Path) -> None:
    file = written(home / "secrets.env", f"UPSWELL_A_KEY={KEY}")
    with ThreadPoolExecutor(8) as pool:
        salts = set(pool.map(lambda _: salt(home), range(16)))
    assert len(salts) == 1 and salt(home) in salts
    assert secret("a_key", home) == KEY and file.read_text().count("UPSWELL_SALT=") == 1
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert hashed("a", "b") != hashed("b", "a") and len(hashed("a", "b")) == 64


def test_the_file_of_a_new_salt_is_its_owners(home: Path) -> None:
    salt(home)
    assert stat.S_IMODE((home / "secrets.env").stat().st_mode) == 0o600


def test_redaction_takes_out_every_form_of_what_was_read_or_is_in_the_environment(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPSWELL_A_KEY", KEY)
    monkeypatch.setenv("UPSWELL_HOME", str(home))
    text = redact(f"GET /x?key=AIza-planted%2Fkey%2B0123456789 {KEY} in {home}")
    assert text == f"GET /x?key=[a_key] [a_key] in {home}"
    made = salt(home)
    assert redact(made) == "[salt]"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    factory = logging.getLogRecordFactory()
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logging.getLogger("elsewhere").addHandler(handler)
    yield stream
    logging.getLogger("elsewhere").removeHandler(handler)
    logging.setLogRecordFactory(factory)


def test_logs_of_any_logger_are_without_secrets(log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSWELL_A_KEY", KEY)
    guard_logs()
    guard_logs()
    logger = logging.getLogger("elsewhere")
    logger.warning("asked %s with %s", "host", KEY)
    try:
        raise ValueError(f"bad url ?key={KEY}")
    except ValueError:
        logger.exception("failed")
    logger.warning("plain %s", "words")
    said = log.getvalue()
    assert KEY not in said
    assert "asked host with [a_key]" in said and "bad url ?key=[a_key]" in said and "plain words" in said
