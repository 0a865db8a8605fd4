"""Names: telling terms, no stop words, never two alike, and looks where titles say nothing."""

import numpy as np
import pandas as pd

from assets.clusters.naming import MEASURES, free_name, looks, name_styles, telling_terms

CAKES = ["The best cake in the oven #baking", "A cake for the family #baking", "This oven is the best #baking"] * 5
GOALS = ["The best goal of the match", "A goal in the match of the year", "This match is the best"] * 5
STYLES = ["s1"] * 15 + ["s2"] * 15


def measures(**columns) -> pd.DataFrame:
    return pd.DataFrame({name: columns.get(name, [np.nan] * 40) for name in MEASURES}, dtype=float)


def test_words_that_all_styles_use_are_not_telling():
    terms = telling_terms(CAKES + GOALS, STYLES)
    assert terms["s1"][:3] == ["#baking", "cake", "oven"]
    assert set(terms["s2"]) >= {"goal", "match"}
    assert not {"the", "best", "this", "is", "in"} & {*terms["s1"], *terms["s2"]}


def test_other_scripts_and_missing_titles():
    terms = telling_terms([*["गाना सुनो"] * 5, *["рецепт торта"] * 5, None, ""], ["s1"] * 5 + ["s2"] * 5 + ["s3"] * 2)
    assert set(terms["s1"]) == {"गाना", "सुनो"}
    assert set(terms["s2"]) == {"рецепт", "торта"}
    assert terms["s3"] == []


def test_no_title_at_all():
    assert telling_terms([None, None], ["s1", "s2"]) == {"s1": [], "s2": []}
    assert telling_terms(["one", "two"], ["s1", "s2"]) == {"s1": [], "s2": []}


def test_a_plural_or_hashtag_of_a_term_is_not_said_twice():
    named = name_styles({"s1": ["cats", "#cat", "cat", "milk"]}, {"s1": []}, {"s1": 4})
    assert named["s1"].name == "cats, milk"
    assert named["s1"].terms == ["cats", "#cat", "cat", "milk"]


def test_named_by_looks_where_titles_say_nothing():
    styles = ["s1"] * 20 + ["s2"] * 20
    bright = np.r_[np.full(20, 0.9), np.full(20, 0.2)] + np.arange(40) / 1000
    cuts = np.r_[np.full(20, 2.0), np.full(20, 0.1)] + np.arange(40) / 1000
    seen = looks(measures(brightness=bright, cut_rate=cuts, loudness=[1.0] * 40), styles)
    named = name_styles({"s1": [], "s2": []}, seen, {"s1": 20, "s2": 20})
    assert set(seen["s1"]) == {"bright", "fast cuts"}
    assert set(named["s2"].name.split(", ")) == {"dark", "long takes"}


def test_few_measured_videos_say_nothing():
    few = [1.0] * 5 + [np.nan] * 15 + [0.0] * 20
    assert looks(measures(brightness=few), ["s1"] * 20 + ["s2"] * 20)["s1"] == []


def test_no_two_names_are_alike():
    sizes = {"s1": 9, "s2": 8, "s3": 7, "s4": 6}
    terms = {"s1": ["a", "b", "c", "d"], "s2": ["a", "b", "c", "e"], "s3": ["a", "b", "c"], "s4": []}
    named = name_styles(terms, {style: [] for style in sizes}, sizes)
    assert [named[style].name for style in sizes] == ["a, b, c", "a, b, c, e", "a, b, c (s3)", "unnamed (s4)"]
    assert free_name("x", "s9", {"x"}) == "x (s9)"


def test_the_description_is_one_sentence():
    told = name_styles({"s1": ["cake", "oven"], "s2": []}, {"s1": ["bright"], "s2": []}, {"s1": 30, "s2": 10})
    assert told["s1"].description == "30 videos (75 %): titles speak of cake, oven; mostly bright."
    assert told["s2"].description == "10 videos (25 %): neither titles nor pictures nor sound set it apart."
