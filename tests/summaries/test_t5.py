"""Summaries by a tiny T5 with random weights: what it writes means nothing, how it is made is what is tested."""

import sys
from pathlib import Path

import pytest

from resources.summaries.base import Summariser, SummaryError, words_of
from resources.summaries.catalogue import make
from resources.summaries.t5 import SECTIONS, T5Summariser
from tests.encoders.tiny_models import save_bert
from tests.summaries.tiny_t5 import save_t5

SENTENCE = "The cat sat on the mat and then it ran away from home. "


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_t5(tmp_path_factory.mktemp("t5"))


@pytest.fixture(scope="module")
def summariser(folder: Path) -> T5Summariser:
    made = make("t5", str(folder))
    assert isinstance(made, T5Summariser) and isinstance(made, Summariser)
    return made


def generated(summariser: T5Summariser, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Notes what the model is asked to read and to write."""
    asked: list[tuple[str, int]] = []
    plain = T5Summariser._generated

    def noting(self: T5Summariser, text: str, words: int) -> str:
        asked.append((text, words))
        return plain(self, text, words)

    monkeypatch.setattr(T5Summariser, "_generated", noting)
    return asked


@pytest.mark.parametrize("words", [1, 6, 25])
def test_a_summary_is_written_in_at_most_so_many_words_and_the_same_again(summariser, words):
    summary = summariser.summarise(SENTENCE * 8, words)
    assert 1 <= len(words_of(summary)) <= words
    assert summary == summariser.summarise(SENTENCE * 8, words)


def test_a_long_text_is_read_by_sections_of_whole_sentences(summariser, monkeypatch):
    asked = generated(summariser, monkeypatch)
    summary = summariser.summarise(SENTENCE * 120, 30)
    sections = [text for text, _ in asked if SENTENCE.strip() in text]
    assert len(sections) > 1 and "".join(f"{text} " for text in sections) == SENTENCE * 120
    assert {words for _, words in asked[: len(sections)]} == {max(8, 30 // len(sections))}
    assert 1 <= len(words_of(summary)) <= 30


def test_what_the_sections_gave_is_summarised_again_where_it_is_too_long(summariser, monkeypatch):
    asked = generated(summariser, monkeypatch)
    summariser.summarise(SENTENCE * 200, 12)
    assert asked[-1][1] == 12 and SENTENCE.strip() not in asked[-1][0]


def test_a_megabyte_is_narrowed_first(summariser, monkeypatch):
    asked = generated(summariser, monkeypatch)
    text = " ".join(f"the cat {'sat ' * (at % 7)}on mat {at}." for at in range(36_000))
    assert len(text) > 1_000_000
    assert len(words_of(summariser.summarise(text, 20))) <= 20
    assert len(asked) <= SECTIONS + 1


@pytest.mark.parametrize("text", ["", "🙂🎉", "\ud800"])
def test_a_text_without_words_has_no_summary(summariser, text):
    assert summariser.summarise(text, 5) == ""


def test_odd_texts_are_read(summariser):
    for text in ("面包 хлеб bread. " * 9, "a\ud800 cat\x00 sat. " * 9, "x" * 9_000):
        summariser.summarise(text, 5).encode()


def test_the_revision_is_that_of_the_weights(summariser, folder, tmp_path):
    assert T5Summariser(str(folder)).revision == summariser.revision
    other = save_t5(tmp_path / "other")
    (other / "generation_config.json").unlink()
    config = (other / "config.json").read_text()
    (other / "config.json").write_text(config.replace('"d_kv": 8', '"d_kv":  8'))
    assert T5Summariser(str(other)).revision != summariser.revision


def test_weights_that_cannot_be_had_are_an_error_that_names_the_way_out(folder, tmp_path, monkeypatch):
    with pytest.raises(SummaryError, match="there is no folder"):
        make("t5", str(tmp_path / "none"))
    with pytest.raises(SummaryError, match="t5 needs `weights`: a local folder or a hub id"):
        make("t5")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(SummaryError, match=r"no weights here.*set `weights:` to a local folder, or use `extractive`"):
        make("t5", "nobody/has-this-t5")
    with pytest.raises(SummaryError, match=r"a model of the kind bert; name weights of"):
        make("t5", str(save_bert(tmp_path / "bert")))
    (tmp_path / "empty").mkdir()
    with pytest.raises(SummaryError, match=r"no config\.json"):
        make("t5", str(tmp_path / "empty"))
    broken = save_t5(tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(SummaryError, match="cannot be loaded"):
        make("t5", str(broken))
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(SummaryError, match=r"pip install 'upswell\[encoders\]'`, or use `extractive`"):
        make("t5", str(folder))
