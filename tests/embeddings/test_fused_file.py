"""`fused.pt` comes back as it was written, and anything else is refused in one line."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assets.embeddings.fused_file import FusedFileError, read_fused, write_fused

torch = pytest.importorskip("torch")


class Harm:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("harm"),))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    vectors = np.arange(6, dtype=np.float32).reshape(2, 3)
    write_fused(tmp_path / "fused.pt", ["a", "b"], vectors)
    ids, found = read_fused(tmp_path / "fused.pt")
    assert ids == ["a", "b"]
    np.testing.assert_array_equal(found, vectors)
    content = torch.load(tmp_path / "fused.pt", weights_only=True)
    assert content["ids"] == ["a", "b"] and tuple(content["fused"].shape) == (2, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["fused.pt"]


@pytest.mark.parametrize(
    ("ids", "vectors", "message"),
    [
        (["a"], np.ones((2, 3)), r"1 ids, but vectors of shape \(2, 3\)"),
        (["a", "b"], np.ones(2), r"2 ids, but vectors of shape \(2,\)"),
        (["a", "a"], np.ones((2, 3)), "the id 'a' occurs more than once"),
        (["a", "b"], np.array([[1.0], [np.nan]]), "the vector of 'b' holds NaN"),
    ],
)
def test_what_does_not_fit_is_neither_written_nor_read(tmp_path: Path, ids: Any, vectors: Any, message: str) -> None:
    path = tmp_path / "fused.pt"
    with pytest.raises(FusedFileError, match=message):
        write_fused(path, ids, vectors)
    assert not path.exists()
    torch.save({"ids": ids, "fused": torch.tensor(vectors)}, path)
    with pytest.raises(FusedFileError, match=message):
        read_fused(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "expected"),
        ({"ids": ["a"]}, "expected"),
        ({"ids": [1], "fused": torch.ones(1, 2)}, "ids must be a list of strings"),
        ({"ids": ["a"], "fused": [[1.0]]}, "must be a tensor"),
        ({"ids": ["a"], "fused": torch.ones(1, 2, dtype=torch.int64)}, "must be a tensor of floating-point"),
        ({"ids": ["a"], "fused": torch.ones(1, 2).to_sparse()}, "must be a dense tensor"),
    ],
)
def test_other_contents_are_refused(tmp_path: Path, content: Any, message: str) -> None:
    torch.save(content, tmp_path / "fused.pt")
    with pytest.raises(FusedFileError, match=message):
        read_fused(tmp_path / "fused.pt")


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "fused.pt").touch()
    with pytest.raises(FusedFileError, match="not a file of fused vectors: EOFError"):
        read_fused(tmp_path / "fused.pt")


def test_code_in_a_file_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"ids": ["a"], "fused": Harm()}, tmp_path / "harmful.pt")
    (tmp_path / "pickle.pt").write_bytes(pickle.dumps(Harm()))
    for name in ("harmful.pt", "pickle.pt"):
        with pytest.raises(FusedFileError, match="not a file of fused vectors"):
            read_fused(tmp_path / name)
    assert not (tmp_path / "harm").exists()
    with pytest.raises(FusedFileError, match="there is no such file"):
        read_fused(tmp_path / "absent.pt")
