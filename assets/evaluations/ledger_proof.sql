-- Every row of the ledger that breaks its rule, with the fault: made anew from raw rows, whatever features and ledger say.
-- Reads: ledger, records (raw.videos of its videos: usable_at), measures (raw counts, measures and labels of its videos, long:
-- metric, value, observed_at, usable_at), parts (per target its measured parts: metric, transform, opens, closes), levels (per
-- target the metric that its last known level is of), origins (of the versions), outcomes (features.targets of its videos).
WITH first_record AS (
    SELECT source, video_id, min(usable_at) AS usable_at FROM records GROUP BY ALL
),
first_outcome AS (
    SELECT l.source, l.video_id, l.target, l.cutoff, min(m.usable_at) AS usable_at
    FROM ledger l JOIN parts p USING (target)
    JOIN measures m ON m.source = l.source AND m.video_id = l.video_id AND m.metric = p.metric
     AND m.observed_at BETWEEN l.anchor_at + p.opens AND l.anchor_at + p.closes
    GROUP BY ALL
),
same_level AS (
    SELECT DISTINCT l.source, l.video_id, l.target, l.cutoff
    FROM ledger l JOIN levels v USING (target)
    JOIN measures m ON m.source = l.source AND m.video_id = l.video_id AND m.metric = v.metric
     AND m.usable_at <= least(l.as_of, l.made_at) AND abs(ln(1 + m.value) - l.last_level) < 1e-9
),
faults AS (
    SELECT l.*, unnest([
        CASE WHEN l.as_of > l.made_at THEN 'made before its cutoff' END,
        CASE WHEN l.inputs_known_at > l.made_at THEN 'an input is said to be known later' END,
        CASE WHEN l.inputs_known_at IS NULL THEN 'no input stands behind it' END,
        CASE WHEN r.usable_at IS NULL OR r.usable_at > l.made_at THEN 'no record of the video was known' END,
        CASE WHEN l.last_level IS NOT NULL AND s.video_id IS NULL THEN 'its level was not known at the cutoff' END,
        CASE WHEN f.usable_at <= l.made_at THEN 'an observation of the outcome was known' END,
        CASE WHEN t.matured_at <= l.made_at THEN 'the outcome had matured' END,
        CASE WHEN o.origin IS NULL THEN 'its model is not registered' END,
        CASE WHEN o.origin > l.made_at THEN 'its model is of a later origin' END,
        CASE WHEN l.clock NOT IN ('live', 'replay') THEN 'of no known clock' END
    ]) AS fault
    FROM ledger l
    LEFT JOIN first_record r USING (source, video_id)
    LEFT JOIN same_level s USING (source, video_id, target, cutoff)
    LEFT JOIN first_outcome f USING (source, video_id, target, cutoff)
    LEFT JOIN outcomes t USING (source, video_id, target)
    LEFT JOIN origins o USING (version)
)
SELECT source, video_id, target, cutoff, version, made_at, fault FROM faults WHERE fault IS NOT NULL ORDER BY ALL
