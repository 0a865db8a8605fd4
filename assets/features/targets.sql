-- features.targets: per target the observation nearest to its horizon within its tolerance, or the last one there is.
-- Reads: content, definitions (one row per measured target), measures (long: metric, observed_at, known_at, value),
-- gone (videos found to be unavailable, and since when), composites (target, part, weight), now.
WITH wanted AS (
    SELECT c.source, c.video_id, c.anchor_day, c.anchor_at, d.*
    FROM content c JOIN anchors a USING (source)
    JOIN definitions d ON d.anchor IN ('any', a.anchor) AND (d.sources IS NULL OR list_contains(d.sources, c.source))
),
candidates AS (
    SELECT w.source, w.video_id, w.target, w.transform, m.value, m.observed_at, greatest(m.observed_at, m.known_at) AS matured_at,
           CASE WHEN w.horizon_h IS NULL THEN -epoch_us(m.observed_at)
                ELSE abs(epoch_us(m.observed_at - w.anchor_at) - w.horizon_h * 3600000000) END AS distance_us
    FROM wanted w JOIN measures m ON m.source = w.source AND m.video_id = w.video_id AND m.metric = w.metric
    WHERE m.value IS NOT NULL AND m.observed_at >= w.anchor_at
      AND (w.horizon_h IS NULL OR abs(epoch_us(m.observed_at - w.anchor_at) - w.horizon_h * 3600000000) <= w.tolerance_h * 3600000000)
),
outcomes AS (
    SELECT * FROM candidates
    QUALIFY row_number() OVER (PARTITION BY source, video_id, target ORDER BY distance_us, observed_at) = 1
),
measured AS (
    SELECT w.source, w.video_id, w.target, w.anchor_day, w.anchor_at,
           CASE WHEN o.value IS NOT NULL THEN 'matured' WHEN g.gone_at IS NOT NULL THEN 'censored' ELSE 'pending' END AS status,
           CASE o.transform WHEN 'log' THEN ln(1 + greatest(o.value, 0)) ELSE o.value END AS value,
           o.observed_at, o.matured_at
    FROM wanted w
    LEFT JOIN outcomes o USING (source, video_id, target)
    LEFT JOIN gone g ON g.source = w.source AND g.video_id = w.video_id
         AND (w.horizon_h IS NULL OR g.gone_at <= w.anchor_at + to_hours(w.horizon_h + w.tolerance_h))
)
SELECT * FROM measured
UNION ALL BY NAME
SELECT m.source, m.video_id, c.target, m.anchor_day, m.anchor_at,
       CASE WHEN bool_and(m.status = 'matured') THEN 'matured' WHEN bool_or(m.status = 'censored') THEN 'censored' ELSE 'pending' END AS status,
       CASE WHEN bool_and(m.status = 'matured') THEN list_sum(list(c.weight * m.value ORDER BY c.part)) END AS value,
       CASE WHEN bool_and(m.status = 'matured') THEN max(m.observed_at) END AS observed_at,
       CASE WHEN bool_and(m.status = 'matured') THEN max(m.matured_at) END AS matured_at
FROM measured m JOIN composites c ON c.part = m.target
GROUP BY m.source, m.video_id, c.target, m.anchor_day, m.anchor_at
HAVING count(*) = any_value(c.parts)
