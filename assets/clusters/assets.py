"""The cluster assets: the styles of every origin, who belongs to them, and how they came out.

Wiring only; styles are found, named and followed in the modules beside this one.
"""

from collections.abc import Iterator

import dagster as dg

from assets.embeddings.stale import CONTENT
from assets.policies import describe, markdown, picture, retry, upstream
from resources.home import Home
from warehouse.lineage import finish_stage

CLUSTER_TABLES = ("clusters.fits", "clusters.styles", "clusters.sizes", "clusters.assignments")


@dg.multi_asset(
    name="styles",
    specs=[
        dg.AssetSpec(
            name.split("."),
            group_name="clusters",
            deps=[
                ["embeddings", "fused"],
                ["embeddings", "coordinates"],
                ["embeddings", "neighbours"],
                ["embeddings", "interpretation"],
                *(key for key in upstream(name) if key.path[0] != "clusters"),
            ],
            code_version="1",
            **describe(name),
        )
        for name in CLUSTER_TABLES
    ],
    retry_policy=retry,
    pool="cpu",
)
def styles(context: dg.AssetExecutionContext, home: Home) -> Iterator[dg.MaterializeResult]:
    """Finds the styles of every origin that has none of the present vectors and code; assigns the videos that came since."""
    from assets.clusters.follow import bring_up_to_date
    from assets.clusters.gallery import gallery_rows, load_gallery
    from assets.clusters.map import map_png, map_points

    warehouse = home.warehouse
    done = bring_up_to_date(warehouse, home.settings, now=home.now(), run_id=context.run_id, progress=context.log.info)
    finish_stage(warehouse, CONTENT, run_id=context.run_id, now=home.now())
    facts = {"origins": markdown(done)}
    found = [row["origin"] for row in done if row["styles"]]
    pictured = dict(facts)
    if found:
        pictured["styles"] = markdown(gallery_rows(load_gallery(warehouse, found[-1])[0]))
        pictured["map"] = picture(map_png(map_points(warehouse, found[-1], None)))
    for name in CLUSTER_TABLES:
        with warehouse.read() as con:
            counted = con.execute(f"SELECT count(*) FROM {name}").fetchone()
        assert counted is not None
        shown = pictured if name == "clusters.styles" else facts
        yield dg.MaterializeResult(asset_key=name.split("."), metadata={"dagster/row_count": counted[0], **shown})
