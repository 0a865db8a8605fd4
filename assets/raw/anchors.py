"""What age counts from, for the sources that a warehouse holds: read from its landings and the adapters that read them."""

from assets.raw.adapters import anchors
from warehouse.connection import Warehouse


def source_anchors(warehouse: Warehouse) -> dict[str, str]:
    """The anchor of every source with an adapter or a landing: `published_at` or `first_seen_at`."""
    with warehouse.read() as con:
        landings = con.execute("SELECT DISTINCT source, adapter FROM raw.landings WHERE kind = 'videos'").fetchall()
    return dict(anchors(landings, warehouse.home))


def landed_sources(warehouse: Warehouse) -> list[str]:
    """The sources that there are landings of."""
    with warehouse.read() as con:
        return [name for (name,) in con.execute("SELECT DISTINCT source FROM raw.landings ORDER BY ALL").fetchall()]
