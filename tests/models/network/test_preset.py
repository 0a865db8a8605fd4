"""Presets: the shipped ones, a file of one's own, and what is said of a wrong one."""

import pytest

from assets.models.network.preset import SHIPPED, PresetError, load_preset


def test_shipped_ones_are_valid_and_miles_is_system_m():
    assert set(SHIPPED) == {"small", "miles", "western"}
    assert all(load_preset(name).epochs > 0 for name in SHIPPED)
    miles = load_preset("miles")
    assert (miles.hidden, miles.dropout, miles.loss_weights) == ((1024, 256), (0.3, 0.2), (0.7, 0.3))
    assert (miles.batch_size, miles.epochs, miles.learning_rate) == (32, 15, 2e-5)
    assert (miles.warmup_steps, miles.clip, miles.patience, miles.weight_decay) == (500, 1.0, 3, 0.01)
    assert load_preset("western").fusion == "gated"


def test_a_file_overrides_its_base(tmp_path, monkeypatch):
    (tmp_path / "own.yaml").write_text("base: miles\nepochs: 3\n")
    own = load_preset(str(tmp_path / "own.yaml"))
    assert (own.epochs, own.hidden) == (3, (1024, 256))
    monkeypatch.setenv("UPSWELL_HOME", str(tmp_path))
    assert load_preset("own.yaml") == own
    (tmp_path / "bare.yml").write_text("epochs: 4\n")
    assert load_preset("bare.yml") == load_preset("small").with_overrides(epochs=4)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("epochs: 0", "epochs"),
        ("epoch: 3", "epoch: Extra inputs"),
        ("base: enormous", "no base 'enormous'"),
        ("hidden: [8]", "dropout has 2 values for 1 hidden layers"),
        ("fusion: gated\ntower: null", "set tower"),
        ("modalities: [smell]", "modalities"),
        ("quantiles: [0.9, 0.1]", "quantiles rise"),
        ("loss_weights: [0, 1]", "loss_weights"),
        ("dropout: [0.5, 1.0]", "below 1"),
        (
            "modalities: [image]\nfine_tune: {encoder: minilm, layers: 1, epochs: 1, learning_rate: 1, batch_size: 1}",
            "text",
        ),
        ("- a list", "holds no keys"),
        ("a: [", "is no YAML"),
    ],
)
def test_a_wrong_one_names_the_key(tmp_path, text, said):
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(PresetError, match=said):
        load_preset(str(path))


def test_an_absent_one_says_what_there_is():
    with pytest.raises(PresetError, match="no preset 'huge'; known: miles, small, western"):
        load_preset("huge")


def test_parameters_stand_for_the_presets_values_and_are_checked():
    small = load_preset("small")
    assert small.with_overrides(dropout=0.5, epochs=None).dropout == (0.5, 0.5)
    assert small.with_overrides() is small
    with pytest.raises(PresetError, match="parameters: learning_rate"):
        small.with_overrides(learning_rate=-1.0)
