"""The media store: each content once, whole or not at all."""

import hashlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from resources.media import store as stores
from resources.media.store import MediaStore, MediaStoreError


def test_bytes_and_a_file_of_them_are_one_content(tmp_path: Path) -> None:
    store = MediaStore(tmp_path)
    file = tmp_path / "a.jpg"
    file.write_bytes(b"pixels")
    content_id = store.keep(b"pixels")
    assert content_id == hashlib.sha256(b"pixels").hexdigest() == store.keep(file)
    assert store.path(content_id) == tmp_path / "media" / content_id[:2] / content_id
    assert store.has(content_id)
    assert store.read(content_id) == b"pixels"
    assert [path for path in (tmp_path / "media").rglob("*") if path.is_file()] == [store.path(content_id)]


def test_keeping_again_writes_nothing(tmp_path: Path) -> None:
    store = MediaStore(tmp_path)
    before = store.path(store.keep(b"pixels")).stat()
    assert store.path(store.keep(b"pixels")).stat() == before


def test_removed_content_is_gone_and_can_come_back(tmp_path: Path) -> None:
    store = MediaStore(tmp_path)
    content_id = store.keep(b"pixels")
    store.remove(content_id)
    store.remove(content_id)
    assert not store.has(content_id)
    assert store.keep(b"pixels") == content_id
    assert store.has(content_id)


@pytest.mark.parametrize("content_id", ["", "../../etc/passwd", "A" * 64, "a" * 63])
def test_what_is_no_content_id_names_no_path(tmp_path: Path, content_id: str) -> None:
    with pytest.raises(ValueError, match="sha256"):
        MediaStore(tmp_path).path(content_id)


def test_a_missing_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(MediaStoreError, match=r"gone\.jpg: cannot be kept in .*media: No such file"):
        MediaStore(tmp_path).keep(tmp_path / "gone.jpg")


def test_a_file_that_changes_while_it_is_read_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.jpg"
    file.write_bytes(b"pixels")
    digest = stores.digest

    def then_it_grows(path: Path) -> str:
        content_id = digest(path)
        file.write_bytes(b"pixels and more")
        return content_id

    monkeypatch.setattr(stores, "digest", then_it_grows)
    with pytest.raises(MediaStoreError, match="changed while it was read"):
        MediaStore(tmp_path).keep(file)
    assert not [path for path in (tmp_path / "media").rglob("*") if path.is_file()]


def test_what_a_killed_process_left_is_swept_and_what_a_live_one_writes_is_not(tmp_path: Path) -> None:
    program = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    )
    store = MediaStore(tmp_path)
    store.folder.mkdir()
    dead = store.folder / f".incoming-{program.stdout.strip()}-a"
    live = store.folder / f".incoming-{os.getppid()}-b"
    old = store.folder / f".incoming-{os.getppid()}-c"
    for left in (dead, live, old):
        left.write_bytes(b"half")
    os.utime(old, (0, 0))
    store.keep(b"pixels")
    assert [dead.exists(), live.exists(), old.exists()] == [False, True, False]


def test_many_threads_with_the_same_bytes(tmp_path: Path) -> None:
    store = MediaStore(tmp_path)
    kept: list[str] = []
    threads = [threading.Thread(target=lambda: kept.append(store.keep(b"x" * 100_000))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(kept) == 8
    assert len(set(kept)) == 1
    assert store.read(kept[0]) == b"x" * 100_000
