"""A kept model answers for its own kind of input, the same one at a time as in a batch, and refuses everything else."""

import json
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from assets.evaluations.backtest import run_origin, split
from assets.models.columns import SchemaError
from assets.models.predictor import (
    Manifest,
    ModelError,
    Predictor,
    UnknownFeatureError,
    UnknownVideoError,
    read_manifest,
    save,
)
from resources.settings import load_settings
from tests.models.frames import make_frame

ORIGIN = date(2024, 3, 4)
KEPT = {"feature_fingerprint": "f1", "data_version": "d1", "training_set_id": "t1", "run_id": "r1"}


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return make_frame(700, "24h", seed=4)


@pytest.fixture(scope="module", params=["hist_gradient_boosting", "ridge", "hist_gradient_boosting_classifier"])
def kept(request, frame, tmp_path_factory) -> tuple[Path, Manifest]:
    home = tmp_path_factory.mktemp("home")
    target = "viral_7d" if request.param.endswith("classifier") else "log_views_7d"
    result = run_origin(frame, load_settings(home), target, "24h", ORIGIN, [request.param])
    return home, save(home, result.fitted[request.param], result.task, split(frame, ORIGIN)[0], ORIGIN, **KEPT)


def test_reply_says_what_it_is_and_where_it_comes_from(kept, frame):
    home, manifest = kept
    reply = Predictor.load(home, manifest.version, frame, "f1").predict_score("v00690")
    expected = {"run_id": "r1", "data_version": "d1", "cutoff": "24h", "horizon_hours": 168.0, "video_id": "v00690"}
    assert expected.items() <= reply.items()
    assert reply["model_version"] == manifest.version
    assert reply["trained_on"] is False
    assert ("probability" in reply) == manifest.target.startswith("viral")
    assert json.loads(json.dumps(reply, allow_nan=False)) == reply
    assert Predictor.load(home, manifest.version, frame, "f1").predict_score("v00001")["trained_on"] is True


def test_batch_and_single_are_equal_to_the_bit(kept, frame):
    home, manifest = kept
    predictor = Predictor.load(home, manifest.version, frame, "f1")
    ids = list(frame["video_id"].iloc[400:600])
    assert predictor.predict_batch(ids) == [predictor.predict_score(video) for video in ids]
    extras = [{"duration_s": 10.0 * i} for i in range(len(ids))]
    single = [predictor.predict_score(video, extra) for video, extra in zip(ids, extras, strict=True)]
    assert predictor.predict_batch(ids, extras) == single


def test_stored_forecasts_are_what_the_kept_model_says(frame, tmp_path):
    result = run_origin(frame, load_settings(tmp_path), "log_views_7d", "24h", ORIGIN, ["hist_gradient_boosting"])
    train, test = split(frame, ORIGIN)
    manifest = save(tmp_path, result.fitted["hist_gradient_boosting"], result.task, train, ORIGIN, **KEPT)
    replies = Predictor.load(tmp_path, manifest.version, frame, "f1").predict_batch(list(test["video_id"]))
    assert [reply["point"] for reply in replies] == result.predictions["point"].tolist()
    assert [reply["intervals"]["80"][1] for reply in replies] == result.predictions["upper_80"].tolist()


def test_unknown_video_is_named(kept, frame):
    home, manifest = kept
    predictor = Predictor.load(home, manifest.version, frame, "f1")
    with pytest.raises(UnknownVideoError, match="no features of video 'nobody'"):
        predictor.predict_score("nobody")
    with pytest.raises(UnknownVideoError, match="'nobody'"):
        predictor.predict_batch(["v00001", "nobody"])


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"rank_in_query": 3}, "unknown feature 'rank_in_query'"),
        ({"video_id": "v00002"}, "unknown feature 'video_id'"),
        ({"duration_s": "long"}, "feature 'duration_s' needs a number, not 'long'"),
        ({"duration_s": float("inf")}, "feature 'duration_s' needs a number"),
        ({"title": 5}, "feature 'title' needs a text"),
    ],
)
def test_extra_features_are_never_dropped_in_silence(kept, frame, extra, message):
    home, manifest = kept
    predictor = Predictor.load(home, manifest.version, frame, "f1")
    with pytest.raises(UnknownFeatureError, match=message):
        predictor.predict_score("v00001", extra)


def test_extra_features_stand_for_those_of_the_frame(kept, frame):
    home, manifest = kept
    predictor = Predictor.load(home, manifest.version, frame, "f1")
    row = frame.set_index("video_id").loc["v00600"]
    same = {
        "duration_s": row["duration_s"],
        "title": row["title"],
        "category": row["category"],
        "views_log": row["views_log"],
    }
    same = {name: None if pd.isna(value) else value for name, value in same.items()}
    assert predictor.predict_score("v00600", same) == predictor.predict_score("v00600")
    assert not np.array_equal(
        predictor.vector("v00600"), predictor.vector("v00600", {"views_log": 12.0, "title": "cat"}), equal_nan=True
    )
    kind = "probability" if "probability" in predictor.predict_score("v00600") else "point"
    assert predictor.predict_score("v00600", {"views_log": 14.0})[kind] > predictor.predict_score("v00600")[kind]


def test_other_input_is_refused(kept, frame):
    home, manifest = kept
    with pytest.raises(ModelError, match="made for features f1, these are f2"):
        Predictor.load(home, manifest.version, frame, "f2")
    with pytest.raises(ModelError, match="is for simulator, not youtube"):
        Predictor.load(home, manifest.version, frame.assign(source="youtube"), "f1")
    with pytest.raises(ModelError, match="as of 24h"):
        Predictor.load(home, manifest.version, frame.assign(as_of=frame["anchor_at"]), "f1")
    with pytest.raises(ModelError, match="'v00000' has more than one row"):
        Predictor.load(home, manifest.version, pd.concat([frame, frame.head(1)]), "f1")
    with pytest.raises(SchemaError, match="columns missing: anchor_hour, duration_s"):
        Predictor.load(home, manifest.version, frame.drop(columns=["duration_s", "anchor_hour"]), "f1")


def test_absent_and_changed_bundles_are_refused(frame, tmp_path):
    result = run_origin(frame, load_settings(tmp_path), "log_views_7d", "24h", ORIGIN, ["ridge"])
    manifest = save(tmp_path, result.fitted["ridge"], result.task, split(frame, ORIGIN)[0], ORIGIN, **KEPT)
    assert read_manifest(tmp_path, manifest.version) == manifest
    model = tmp_path / "models" / manifest.version / "model.joblib"
    model.write_bytes(model.read_bytes() + b"x")
    with pytest.raises(ModelError, match="changed after it was saved"):
        Predictor.load(tmp_path, manifest.version, frame, "f1")
    with pytest.raises(ModelError, match="no model 'nothing'"):
        Predictor.load(tmp_path, "nothing", frame, "f1")
    assert [path.name for path in (tmp_path / "models").iterdir()] == [manifest.version], "no draft stays behind"


def test_naive_forecasters_are_not_kept(frame, tmp_path):
    result = run_origin(frame, load_settings(tmp_path), "log_views_7d", "24h", ORIGIN, ["global_mean"])
    with pytest.raises(ModelError, match="only learned forecasters"):
        save(tmp_path, result.fitted["global_mean"], result.task, frame, ORIGIN, **KEPT)
