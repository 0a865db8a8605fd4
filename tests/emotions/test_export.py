"""Exports decide as the model that they were made from, or are refused; serving one imports neither torch nor transformers."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from resources.emotions import export as exporting
from resources.emotions.decisions import Decisions
from resources.emotions.ensemble import assemble, fit_weights, mixed
from resources.emotions.export import Exported, export
from resources.emotions.model import EmotionError, Manifest, load, read_manifest, seal
from resources.emotions.onnx import OnnxModel
from resources.emotions.parity import Labelled, Parity, compare, macro_f1, require_parity
from resources.emotions.scoring import score
from tests.cli.conftest import upswell
from tests.emotions.tiny_bundles import LABELS, clear, save_encoder, save_network, texts

__all__ = ["upswell"]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two networks with the same labels."""
    root = tmp_path_factory.mktemp("bundles")
    encoder = save_encoder(root / "encoder")
    return [save_network(root / str(seed), encoder, seed, temperature=1 + seed) for seed in (0, 1)]


@pytest.fixture(scope="module")
def dev(bundles: list[Path]) -> Labelled:
    """Texts whose labels are what the first network says."""
    found = clear(*map(load, bundles))
    return Labelled(found, score(load(bundles[0]), found).decided)


@pytest.fixture(scope="module", autouse=True)
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A network's graph is written once, as that takes seconds."""
    folder, plain = tmp_path_factory.mktemp("graphs"), exporting._write_graph

    def once(bundle: Path, manifest: Manifest, path: Path) -> None:
        kept = folder / manifest.revision
        if not kept.is_file():
            plain(bundle, manifest, kept)
        shutil.copyfile(kept, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporting, "_write_graph", once)
        yield


@pytest.fixture(scope="module")
def exports(bundles: list[Path], dev: Labelled, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Exported]:
    root = tmp_path_factory.mktemp("exports")
    return {name: export(bundles[0], root / name, name, dev) for name in ("fp32", "int8")}


def test_an_export_decides_as_the_model_and_says_so(bundles, exports, dev):
    fp32, int8 = exports["fp32"], exports["int8"]
    assert fp32.parity.equal == 1 and fp32.parity.loss == 0 and fp32.parity.logits < 1e-3
    assert int8.parity.equal >= 0.9 and int8.parity.loss <= 0.005 and int8.parity.logits > fp32.parity.logits
    said = json.loads((int8.folder / "export.json").read_text())
    assert said["of"] == read_manifest(bundles[0]).revision and said["precision"] == "int8"
    assert said["parity"]["equal"] == int8.parity.equal
    assert int8.megabytes < fp32.megabytes


def test_what_an_export_says_of_itself_is_what_the_model_said(bundles, exports):
    before, after = read_manifest(bundles[0]), read_manifest(exports["int8"].folder)
    kept = {"kind", "files"}
    assert after.kind == "onnx" and before.model_dump(exclude=kept) == after.model_dump(exclude=kept)
    assert len({before.revision, *(read_manifest(one.folder).revision for one in exports.values())}) == 3


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_logits_of_a_text_do_not_depend_on_the_others(exports, precision):
    model, found = load(exports[precision].folder), texts(9)
    np.testing.assert_array_equal(model.logits(found)[::-1], model.logits(found[::-1]))
    assert model.logits([]).shape == (0, len(LABELS))


def test_odd_texts_are_served(exports):
    model = load(exports["int8"].folder)
    scored = score(model, ["", "🙂🎉", "\ud800 cat\x00", "x" * 1_000_000, "кот 猫 cat", "a " * 500_000])
    assert scored.empty.tolist() == [True, False, False, False, False, False]
    assert np.isfinite(scored.probabilities[1:]).all()


def test_serving_imports_neither_torch_nor_transformers(exports):
    script = (
        "import sys; from pathlib import Path\n"
        "from resources.emotions.model import load; from resources.emotions.scoring import score\n"
        f"print(score(load(Path({str(exports['int8'].folder)!r})), ['cat', 'a dog']).decided.shape)\n"
        "print(sorted(name for name in ('torch', 'transformers', 'onnx', 'sklearn') if name in sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["(2, 4)", "[]"]


def test_an_export_that_decides_otherwise_is_refused_and_leaves_nothing(bundles, dev, tmp_path, monkeypatch):
    def broken(bundle: Path, manifest, folder: Path, precision: str) -> None:
        shutil.copytree(bundles[1], folder)
        seal(folder, manifest)

    monkeypatch.setattr(exporting, "_write", broken)
    with pytest.raises(
        EmotionError, match=r"the int8 export is refused: on .* same labels.*macro-F1 falls from 1\.0000 to"
    ):
        export(bundles[0], tmp_path / "out", "int8", dev)
    assert not list(tmp_path.iterdir())


def test_each_bound_refuses_alone():
    good = Parity(texts=100, equal=0.99, logits=1.0, f1=0.5, f1_after=0.4951)
    require_parity(good, "int8")
    with pytest.raises(EmotionError, match="the fp32 export is refused"):
        require_parity(good, "fp32")
    for wrong in (replace(good, f1_after=0.4949), replace(good, equal=0.89), replace(good, f1_after=float("nan"))):
        with pytest.raises(EmotionError, match="the int8 export is refused"):
            require_parity(wrong, "int8")


def test_an_int8_export_that_is_too_large_is_refused(bundles, dev, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "LIMITS_MB", {16: 0.01})
    with pytest.raises(EmotionError, match=r"MB, and at most 0\.01 MB for an encoder of width 16"):
        export(bundles[0], tmp_path / "out", "int8", dev)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_exported_is_an_error(bundles, exports, dev, tmp_path, monkeypatch):
    with pytest.raises(EmotionError, match="of the kind onnx: only a network"):
        export(exports["fp32"].folder, tmp_path / "out", "int8", dev)
    with pytest.raises(EmotionError, match="is there already"):
        export(bundles[0], exports["fp32"].folder, "fp32", dev)
    with pytest.raises(EmotionError, match="49 labelled texts are too few"):
        compare(load(bundles[0]), load(bundles[0]), Labelled(dev.texts[:49], dev.truth[:49]))
    with pytest.raises(EmotionError, match=r"their truth has the shape \(\d+, 3\)"):
        compare(load(bundles[0]), load(bundles[0]), Labelled(dev.texts, dev.truth[:, :3]))


def test_an_export_that_was_changed_or_has_other_labels_is_refused(exports, tmp_path, monkeypatch):
    def copy(name: str) -> Path:
        return shutil.copytree(exports["int8"].folder, tmp_path / name)

    broken = copy("broken")
    (broken / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(EmotionError, match=r"model\.onnx was changed"):
        load(broken)
    seal(broken, read_manifest(exports["int8"].folder))
    with pytest.raises(EmotionError, match=r"model\.onnx cannot be loaded"):
        load(broken)
    other = copy("order")
    seal(other, read_manifest(other).model_copy(update={"labels": LABELS[::-1]}))
    with pytest.raises(EmotionError, match=r"labels in another order: joy, anger, fear, neutral; wanted are neutral"):
        load(other)
    fewer = copy("fewer")
    names = dict(enumerate(LABELS[:3]))
    (fewer / "config.json").write_text(
        json.dumps({**json.loads((fewer / "config.json").read_text()), "id2label": names})
    )
    decisions = Decisions(1.0, (0.5,) * 3)
    seal(fewer, read_manifest(exports["int8"].folder).model_copy(update={"labels": LABELS[:3], "decisions": decisions}))
    with pytest.raises(EmotionError, match="gives 4 logits, for 3 labels"):
        load(fewer)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(EmotionError, match=r"onnxruntime is not installed; `pip install 'upswell\[encoders\]'`"):
        OnnxModel(exports["int8"].folder, read_manifest(exports["int8"].folder))


class TestEnsembles:
    @pytest.fixture(scope="class")
    def ensemble(self, bundles: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
        folder = tmp_path_factory.mktemp("ensembles") / "both"
        assemble(folder, "both", bundles, (3, 1), Decisions(1.0, (0.5,) * 4, 0.2))
        return folder

    def test_its_probability_is_the_weighted_mean_of_the_members(self, bundles, ensemble):
        found, model = texts(20), load(ensemble)
        one, other = (score(load(bundle), found).probabilities for bundle in bundles)
        np.testing.assert_allclose(score(model, found).probabilities, 0.75 * one + 0.25 * other, atol=1e-5)
        manifest = read_manifest(ensemble)
        assert manifest.known_at == read_manifest(bundles[1]).known_at and manifest.trained_on == "set-0, set-1"

    def test_it_is_exported_under_the_same_checks(self, ensemble, tmp_path):
        found = clear(load(ensemble))
        dev = Labelled(found, score(load(ensemble), found).decided)
        made = export(ensemble, tmp_path / "out", "int8", dev)
        manifest = read_manifest(made.folder)
        assert manifest.kind == "ensemble" and made.parity.equal >= 0.9
        assert {read_manifest(made.folder / "members" / name).kind for name in "01"} == {"onnx"}
        off = Labelled(found, ~dev.truth)
        assert compare(load(ensemble), load(made.folder), off).f1 == 0

    def test_members_have_the_same_labels_and_weights_fit(self, bundles, ensemble, tmp_path):
        decisions = Decisions(1.0, (0.5,) * 4)
        reversed_ = save_network(tmp_path / "other", save_encoder(tmp_path / "encoder"), labels=LABELS[::-1])
        with pytest.raises(EmotionError, match="labels in another order"):
            assemble(tmp_path / "e", "e", [bundles[0], reversed_], (1, 1), decisions)
        for weights in ((1,), (0, 0), (1, -1), (1, float("nan"))):
            with pytest.raises(EmotionError, match="2 members need 2 weights"):
                assemble(tmp_path / "e", "e", bundles, weights, decisions)
        with pytest.raises(EmotionError, match="at least 2 members, not 1"):
            assemble(tmp_path / "e", "e", bundles[:1], (1,), decisions)
        with pytest.raises(EmotionError, match="is there already"):
            assemble(ensemble, "e", bundles, (1, 1), decisions)
        assert not (tmp_path / "e").exists()
        torn = shutil.copytree(ensemble, tmp_path / "torn")
        (torn / "ensemble.json").write_text("{}")
        seal(torn, read_manifest(ensemble))
        with pytest.raises(EmotionError, match="no whole ensemble"):
            load(torn)

    def test_weights_go_to_the_member_that_knows(self):
        rng = np.random.default_rng(0)
        truth = rng.random((300, 5)) < 0.3
        knows = np.where(truth, 0.8, 0.1)
        guesses = rng.random((300, 5))
        weights = fit_weights(np.stack([guesses, knows]), truth)
        assert weights.sum() == pytest.approx(1) and weights[1] > 0.95
        np.testing.assert_allclose(fit_weights(np.stack([knows, knows]), truth), [0.5, 0.5])

        def likelihood(shares: tuple[float, float]) -> float:
            chance = 1 / (1 + np.exp(-mixed(np.stack([guesses, knows]), np.array(shares)).astype(np.float64)))
            return float(np.log(np.where(truth, chance, 1 - chance)).mean())

        best = max(likelihood((1 - share, share)) for share in np.linspace(0, 1, 101))
        assert likelihood((float(weights[0]), float(weights[1]))) >= best - 1e-4


class TestCommand:
    @pytest.fixture
    def dev_file(self, dev: Labelled, tmp_path: Path) -> Path:
        rows = zip(dev.texts, dev.truth, strict=True)
        named = [(text, [label for label, has in zip(LABELS, row, strict=True) if has]) for text, row in rows]
        file = tmp_path / "dev.tsv"
        file.write_text("".join(f"{text}\t{','.join(labels)}\t1\n" for text, labels in named if labels))
        return file

    def test_a_model_is_exported_and_served(self, upswell, bundles, dev_file, tmp_path):
        arguments = ("--model", str(bundles[0]), "--dev", str(dev_file), "--json")
        told = json.loads(upswell("emotion", "--export", str(tmp_path / "out"), "--int8", *arguments).out)
        assert told["precision"] == "int8" and told["loss"] <= 0.005 and told["equal"] >= 0.9
        said = json.loads(upswell("emotion", "a cat", "--model", str(tmp_path / "out"), "--json").out)
        assert len(said["texts"]) == 1 and said["revision"] == read_manifest(tmp_path / "out").revision

    def test_several_become_an_ensemble_whose_weights_are_fitted_on_dev(self, upswell, bundles, dev_file, tmp_path):
        models = ("--model", str(bundles[1]), "--with", str(bundles[0]))
        done = upswell("emotion", "--export", str(tmp_path / "out"), *models, "--dev", str(dev_file))
        assert done.code == 0, done.err
        weights = json.loads((tmp_path / "out" / "ensemble.json").read_text())["weights"]
        assert weights[1] > 0.9  # the labels are what the second says

    def test_what_is_missing_is_one_line(self, upswell, bundles, dev_file, tmp_path):
        model = ("--model", str(bundles[0]))
        for arguments, named in (
            (("--export", str(tmp_path / "out"), *model), "--export needs --dev FILE"),
            (("text", "--export", str(tmp_path / "out"), *model), "or --export DIR"),
            (("--export", str(tmp_path), *model, "--dev", str(dev_file)), "is there already"),
            (("--export", str(tmp_path / "out"), *model, "--dev", str(tmp_path / "none")), "there is no file"),
        ):
            said = upswell("emotion", *arguments)
            assert said.code == 2 and named in said.err and said.err.count("\n") == 1


def test_macro_f1_is_the_mean_over_the_labels_that_there_are():
    truth = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0]], bool)
    given = np.array([[1, 0, 1], [0, 1, 0], [0, 0, 0]], bool)
    assert macro_f1(truth, truth) == 1 and macro_f1(~truth & False, given) == 0
    assert macro_f1(truth, given) == pytest.approx((2 / 3 + 2 / 3) / 2)
