"""Ids from links: every form, with noise around it, and nothing where there is none."""

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.collectors.links import (
    Link,
    address,
    bare_id,
    find_links,
    resolve,
    youtube_channel_id,
    youtube_channel_name,
)
from tests.collectors.conftest import Place

WORD = string.ascii_letters + string.digits + "_-"
youtube_ids = st.text(WORD, min_size=11, max_size=11).filter(lambda text: text not in ("videoseries", "live_stream"))
tiktok_ids = st.integers(10**14, 10**20 - 1).map(str)
words = st.text(string.ascii_letters + string.digits, min_size=1, max_size=8)
schemes = st.sampled_from(["https://", "http://", "", "//", "HTTPS://"])
before = st.sampled_from(["", "see ", "(", "[x](", "<a href=\"", "新的", "\n", "a, "])  # fmt: skip
after = st.sampled_from(["", " and so on", ")", ".", "\">", "很好", "\n", ", b", "!"])  # fmt: skip

YOUTUBE = [
    "www.youtube.com/watch?v={}",
    "youtube.com/watch?v={}",
    "m.youtube.com/watch?app=desktop&v={}",
    "music.youtube.com/watch?v={}",
    "www.youtube.com/watch/{}",
    "www.youtube.com/shorts/{}",
    "www.youtube.com/embed/{}",
    "www.youtube-nocookie.com/embed/{}",
    "www.youtube.com/v/{}",
    "www.youtube.com/vi/{}",
    "www.youtube.com/e/{}",
    "www.youtube.com/live/{}",
    "m.youtube.com/#/watch?v={}",
    "www.youtube.com/?v={}",
    "youtu.be/{}",
    "WWW.YouTube.com/Shorts/{}",
    "www.youtube.com:443/watch?v={}",
    "www.youtube.com/attribution_link?a=x&u=%2Fwatch%3Fv%3D{}%26feature%3Dshare",
]
TIKTOK = [
    "www.tiktok.com/@{user}/video/{}",
    "tiktok.com/@{user}/photo/{}",
    "m.tiktok.com/v/{}.html",
    "www.tiktok.com/embed/{}",
    "www.tiktok.com/embed/v2/{}",
    "www.tiktok.com/player/v1/{}",
    "www.tiktok.com/share/video/{}",
    "www.tiktok.com/@/video/{}",
    "m.tiktok.com/share?item_id={}",
]


@st.composite
def noisy(draw: st.DrawFn, form: str) -> str:
    """A link in one form, with parameters, a fragment and a text around it."""
    link = draw(schemes) + form
    if "attribution" not in link and "#" not in link:
        parameters = [f"{draw(words)}={draw(words)}" for _ in range(draw(st.integers(0, 2)))]
        if parameters:
            link += ("&amp;" if draw(st.booleans()) else "&").join(["&" if "?" in link else "?", *parameters])
        link += draw(st.sampled_from(["", "#t=30", "#"]))
    return draw(before) + link + draw(after)


@settings(max_examples=100, deadline=None)
@given(st.data(), st.sampled_from(YOUTUBE), youtube_ids)
def test_any_youtube_id_comes_back_from_any_form(data: st.DataObject, form: str, video_id: str) -> None:
    text = data.draw(noisy(form.format(video_id)))
    assert find_links(text) == (Link("youtube", "video", video_id),), text


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(TIKTOK), tiktok_ids, words)
def test_any_tiktok_id_comes_back_from_any_form(data: st.DataObject, form: str, video_id: str, user: str) -> None:
    text = data.draw(noisy(form.format(video_id, user=user)))
    assert find_links(text) == (Link("tiktok", "video", video_id),), text


@settings(max_examples=30, deadline=None)
@given(st.lists(youtube_ids, min_size=1, max_size=5))
def test_all_links_of_a_text_are_found_once_and_in_order(ids: list[str]) -> None:
    text = " and ".join(address("youtube", video_id) for video_id in [*ids, *ids])
    assert [link.id for link in find_links(text)] == list(dict.fromkeys(ids))


@settings(max_examples=60, deadline=None)
@given(st.text())
def test_nothing_is_found_where_there_is_no_link(text: str) -> None:
    if not any(host in text.lower() for host in ("youtu", "tiktok")):
        assert find_links(text) == ()


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([*YOUTUBE, *TIKTOK]), st.text(min_size=1, max_size=24))
def test_no_id_has_a_wrong_alphabet_or_length(form: str, claimed: str) -> None:
    for link in find_links(form.format(claimed, user="someone")):
        if link.kind == "video":
            assert bare_id(link.id, link.source) == link.id


@pytest.mark.parametrize(
    "text",
    [
        "https://youtube.com.evil.com/watch?v=dQw4w9WgXcQ",
        "https://notyoutube.com/watch?v=dQw4w9WgXcQ",
        "someone@youtube.com/watch?v=dQw4w9WgXcQ",
        "https://evil.com/youtube.com/watch?v=dQw4w9WgXcQ",
        "https://www.youtube.com/watch?v=dQw4w9WgXcQQ",
        "https://www.youtube.com/watch?v=dQw4w9WgXc",
        "https://www.youtube.com/embed/videoseries",
        "https://www.youtube.com/embed/live_stream?channel=UCx",
        "https://www.youtube.com/results?search_query=dQw4w9WgXcQ",
        "https://www.youtube.com/feed/subscriptions",
        "https://www.youtube.com/",
        "https://www.tiktok.com/@user/video/12345",
        "https://www.tiktok.com/tag/74933917788218524",
        "dQw4w9WgXcQ",
        "7493391778821852434",
    ],
)
def test_what_is_no_link_of_a_video_is_passed_over(text: str) -> None:
    assert [link for link in find_links(text) if link.kind == "video"] == []


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("youtube.com/playlist?list=PLabc_-1", Link("youtube", "playlist", "PLabc_-1")),
        ("youtube.com/embed/videoseries?list=PLabc", Link("youtube", "playlist", "PLabc")),
        ("youtube.com/watch?v=dQw4w9WgXcQ&list=PLabc", Link("youtube", "video", "dQw4w9WgXcQ")),
        ("youtube.com/channel/UC" + "a" * 22 + "/videos", Link("youtube", "channel", "UC" + "a" * 22)),
        ("youtube.com/@some.one/shorts", Link("youtube", "channel", "@some.one")),
        ("youtube.com/user/someone", Link("youtube", "channel", "user/someone")),
        ("youtube.com/c/someone", Link("youtube", "channel", "c/someone")),
        ("see https://www.tiktok.com/@some.one.", Link("tiktok", "channel", "@some.one")),
        ("https://vm.tiktok.com/ZMabc123/", Link("tiktok", "short_link", "https://vm.tiktok.com/ZMabc123/")),
        ("vt.tiktok.com/ZSabc123", Link("tiktok", "short_link", "https://vt.tiktok.com/ZSabc123/")),
        ("www.tiktok.com/t/ZTabc123/", Link("tiktok", "short_link", "https://www.tiktok.com/t/ZTabc123/")),
    ],
)
def test_channels_playlists_and_short_links_are_told_apart(text: str, link: Link) -> None:
    assert find_links(text) == (link,)


@pytest.mark.parametrize(
    ("leads_to", "meant"),
    [
        ("https://www.tiktok.com/@u/video/7493391778821852434?_r=1", Link("tiktok", "video", "7493391778821852434")),
        ("https://www.tiktok.com/@someone", Link("tiktok", "channel", "@someone")),
        ("https://www.tiktok.com/login", None),
        (None, None),
    ],
)
def test_a_short_link_is_asked_where_it_leads_and_no_further(
    place: Place, leads_to: str | None, meant: Link | None
) -> None:
    place.world.redirects = {"/ZMabc123/": leads_to} if leads_to else {}
    place.world.files = {"/ZMabc123/": b"a page"}
    short = Link("tiktok", "short_link", f"{place.server.url}/ZMabc123/")
    assert resolve(short, place.web()) == meant
    assert [asked.path for asked in place.server.asked] == ["/robots.txt", "/ZMabc123/"]
    assert resolve(Link("tiktok", "video", "1"), place.web()) == Link("tiktok", "video", "1")


def test_a_channel_is_given_by_id_handle_or_link() -> None:
    channel = "UC" + "b" * 22
    assert youtube_channel_id(channel) == youtube_channel_id(f"https://youtube.com/channel/{channel}") == channel
    assert youtube_channel_id("@someone") is None
    assert youtube_channel_name("@someone") == youtube_channel_name("youtube.com/@someone") == {"forHandle": "@someone"}
    assert youtube_channel_name("youtube.com/user/someone") == {"forUsername": "someone"}
    assert youtube_channel_name("youtube.com/c/someone") is None is youtube_channel_name("street food")


def test_a_bare_id_counts_only_where_it_is_asked_for() -> None:
    assert bare_id(" dQw4w9WgXcQ ", "youtube") == "dQw4w9WgXcQ"
    assert bare_id("7493391778821852434", "tiktok") == "7493391778821852434"
    assert bare_id("street food", "youtube") is None is bare_id("dQw4w9WgXcQ", "tiktok")
