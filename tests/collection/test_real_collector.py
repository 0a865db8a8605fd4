"""The collector of YouTube's Data API in a collection run, against the server that misbehaves."""

from assets.raw.collection.collect import Collection
from resources.settings import CollectedSource, load_settings
from tests.collection.fakes import rows, video_ids
from tests.collectors.conftest import Place, place  # noqa: F401
from tests.collectors.server import Asked
from warehouse.connection import Warehouse

CHANNEL = "UC" + "c" * 22


def test_what_is_counted_is_what_the_source_counts(place: Place) -> None:  # noqa: F811
    """Faulty tries cost units too; videos that do not come end in a state; a channel costs what it was said to at most."""
    names = video_ids(120)
    place.world.videos = set(names[:110])
    place.world.channels = {CHANNEL: names}
    place.world.faults = lambda asked, attempt: "error" if attempt == 1 and "videos" in asked.path else None
    warehouse, settings = Warehouse(place.home), load_settings(place.home)
    source = CollectedSource(collector="youtube_api", channels=(CHANNEL,), keep_back=0)
    done = Collection(warehouse, settings, place.api(), place.clock.now).scheduled("shorts", source, "one")
    assert done.row["state"] == "done" and done.row["live"] == 100  # two pages of uploads
    [counted] = rows(warehouse, "SELECT sum(spent) AS units FROM raw.quota WHERE bucket = 'units'")
    assert counted["units"] == len(place.server.asked) == 6  # two pages, two batches, each of these tried twice
    again = CollectedSource(collector="youtube_api", links=(), keep_back=0)
    done = Collection(warehouse, settings, place.api(), place.clock.now).scheduled("shorts", again, "two", names[100:])
    assert (done.row["asked"], done.row["live"], done.row["unavailable"]) == (20, 10, 10)


def test_a_key_that_expires_half_way_keeps_what_came(place: Place) -> None:  # noqa: F811
    names = video_ids(100)
    place.world.videos = set(names)

    def faults(asked: Asked, attempt: int) -> str | None:
        return "expired" if names[99] in asked.query.get("id", "") else None

    place.world.faults = faults
    warehouse, settings = Warehouse(place.home), load_settings(place.home)
    source = CollectedSource(collector="youtube_api", keep_back=0)
    done = Collection(warehouse, settings, place.api(), place.clock.now).scheduled("shorts", source, "one", names)
    assert done.failed and (done.row["live"], len(done.row["missed"])) == (50, 50)
    assert "UPSWELL_YOUTUBE_API_KEY" in done.row["detail"] and len(place.server.asked) == 2
