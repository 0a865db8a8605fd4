"""The embedding assets: contents, what they look and sound like, encoders, vectors, fusion, neighbours, coordinates.

Wiring only. None is partitioned: each does what is missing, and nothing twice.
"""

import dagster as dg

from assets.embeddings.stale import CONTENT, content_version
from assets.policies import markdown, stage_asset
from resources.encoders.base import MODALITIES, Modality
from resources.home import Home
from warehouse.lineage import begin_stage

EMBEDDING_TABLES = tuple(
    f"embeddings.{name}"
    for name in ("contents", "interpretation", "encoders", *MODALITIES, "said", "fused", "neighbours", "coordinates")
)


@dg.asset(**stage_asset("embeddings.contents", "raw.contents"))
def contents(context: dg.AssetExecutionContext, home: Home) -> dg.MaterializeResult:
    """Notes every distinct text, picture, sound and film of every video; content that is gone goes everywhere."""
    from assets.embeddings.contents import refresh_contents

    version = content_version(home.warehouse, home.settings, home.now())
    begin_stage(home.warehouse, CONTENT, version, run_id=context.run_id, now=home.now())
    done = refresh_contents(home.warehouse, home.now(), home.settings.policies)
    rows = [
        {"modality": each, "added": done.added[each], "changed": done.changed[each], "removed": done.removed[each]}
        for each in MODALITIES
    ]
    return dg.MaterializeResult(metadata={"contents": markdown(rows)})


@dg.asset(**stage_asset("embeddings.interpretation", "embeddings.contents"))
def interpretation(context: dg.AssetExecutionContext, home: Home) -> dg.MaterializeResult:
    """Measures brightness, colours, motion, loudness of what has not been measured yet."""
    from assets.embeddings.interpretation import interpret_contents

    done = interpret_contents(home.warehouse, home.now(), context.log.info)
    return dg.MaterializeResult(metadata=done)


@dg.asset(**stage_asset("embeddings.encoders", "embeddings.contents"))
def encoders(context: dg.AssetExecutionContext, home: Home) -> dg.MaterializeResult:
    """Fits the encoders that need no download at every origin that is due, on content known before it."""
    from assets.embeddings.in_use import chosen, fit_due

    rows = []
    for modality, choice in chosen(home.settings).items():
        origins = fit_due(home.warehouse, home.settings, modality, now=home.now(), run_id=context.run_id)
        known = f"{len(origins)} origins, latest {origins[-1]}" if origins else "pretrained, or too little content yet"
        rows.append({"modality": modality, "encoder": choice.encoder, "fitted": known})
    return dg.MaterializeResult(metadata={"encoders": markdown(rows)})


def _vectors(modality: Modality) -> dg.AssetsDefinition:
    @dg.asset(**stage_asset(f"embeddings.{modality}", "embeddings.encoders"))
    def vectors(context: dg.AssetExecutionContext, home: Home) -> dg.MaterializeResult:
        from assets.embeddings.encode import encode_missing
        from assets.embeddings.in_use import chosen, in_use, loader

        if modality not in chosen(home.settings):
            return dg.MaterializeResult(metadata={"why nothing": f"embeddings.{modality} is null in upswell.yaml"})
        warehouse, rows = home.warehouse, []
        load = loader(warehouse, modality)
        for encoder in in_use(warehouse, home.settings, modality):
            done = encode_missing(
                warehouse,
                modality,
                encoder,
                load,
                now=home.now(),
                run_id=context.run_id,
                progress=lambda at, of: context.log.info(f"{at:,} of {of:,} contents encoded ({modality})"),
            )
            rows.append({"encoder": encoder.name, "revision": encoder.revision[:12], "dim": encoder.dim, **vars(done)})
        totals = {name: sum(row[name] for row in rows) for name in ("new", "changed", "cached", "removed", "failed")}
        return dg.MaterializeResult(metadata={**totals, "encoders": markdown(rows)})

    return vectors


@dg.asset(**stage_asset("embeddings.said", "embeddings.encoders"))
def said(context: dg.AssetExecutionContext, home: Home) -> dg.MaterializeResult:
    """Encodes what is said in videos and of them, for search by meaning and for drift."""
    from assets.embeddings.encode import SAID, encode_missing
    from assets.embeddings.in_use import chosen, in_use

    if "text" not in chosen(home.settings):
        return dg.MaterializeResult(metadata={"why nothing": "embeddings.text is null in upswell.yaml"})
    rows = []
    for encoder in in_use(home.warehouse, home.settings, "text"):
        done = encode_missing(
            home.warehouse,
            "text",
            encoder,
            None,
            now=home.now(),
            run_id=context.run_id,
            progress=lambda at, of: context.log.info(f"{at:,} of {of:,} texts encoded (said)"),
            place=SAID,
        )
        rows.append({"encoder": encoder.name, "revision": encoder.revision[:12], "dim": encoder.dim, **vars(done)})
    totals = {name: sum(row[name] for row in rows) for name in ("new", "cached", "removed", "failed")}
    return dg.MaterializeResult(metadata={**totals, "encoders": markdown(rows)})


@dg.asset(**stage_asset("embeddings.fused"))
def fused(context: dg.AssetExecutionContext, home: Home) -> dg.MaterializeResult:
    """Fuses the vectors of each video, with the encoders of every origin."""
    from assets.embeddings.fusion import fuse_videos
    from assets.embeddings.in_use import content_origins

    rows = []
    for origin in content_origins(home.warehouse, home.settings, home.now()):
        done = fuse_videos(home.warehouse, home.settings, origin, home.now())
        if done is not None:
            rows.append({"origin": origin, **vars(done)})
    return dg.MaterializeResult(metadata={"by origin": markdown(rows)})


@dg.asset(**stage_asset("embeddings.neighbours"))
def neighbours(context: dg.AssetExecutionContext, home: Home) -> dg.MaterializeResult:
    """Finds the most similar videos whose outcome was known by a video's anchor, and how they did."""
    from assets.embeddings.fusion import fusion_for
    from assets.embeddings.in_use import content_origins
    from assets.embeddings.neighbours import find_neighbours

    warehouse, settings, rows = home.warehouse, home.settings, []
    serving = [fusion_for(warehouse, settings, origin) for origin in content_origins(warehouse, settings, home.now())]
    for fusion in {each.fusion: each for each in serving if each is not None}.values():
        for target in settings.outcomes():
            context.log.info(f"neighbours of {fusion.origin}, {target}")
            written = find_neighbours(warehouse, settings, fusion.fusion, target, home.now(), run_id=context.run_id)
            rows.append({"origin": fusion.origin, "target": target, "written": written})
    return dg.MaterializeResult(metadata={"written": markdown(rows)})


@dg.asset(**stage_asset("embeddings.coordinates"))
def coordinates(context: dg.AssetExecutionContext, home: Home) -> dg.MaterializeResult:
    """Draws vectors together to few dimensions, as PCA on the videos before each origin has them."""
    from assets.embeddings.coordinates import fit_coordinates
    from assets.embeddings.in_use import content_origins

    rows = []
    for origin in content_origins(home.warehouse, home.settings, home.now()):
        rows.append({"origin": origin, **fit_coordinates(home.warehouse, home.settings, origin, home.now())})
    return dg.MaterializeResult(metadata={"rows": markdown(rows)})


assets: list[dg.AssetsDefinition] = [
    contents,
    interpretation,
    encoders,
    *(_vectors(modality) for modality in MODALITIES),
    said,
    fused,
    neighbours,
    coordinates,
]
