-- features.targets: per target the observation nearest to its horizon within its tolerance, or the last one there is.
-- Reads: content, definitions (one row per measured target), measures (long: metric, observed_at, known_at, value),
-- states (of videos), counted_at (when they were counted), counted (what a view is: source, shorts, starts, ends, counts),
-- composites (target, part, weight), $of_views (metrics that are made of views). An outcome whose window spans a change of
-- what a view is would compare two things.
WITH wanted AS (
    SELECT c.source, c.video_id, c.anchor_day, c.anchor_at, c.is_short = 1 AS is_short, c.duration_s, d.*
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
-- A video is gone since it was first found so after it was last live. One that some cannot see is not, where it was counted
-- then or later all the same.
gone AS (
    SELECT s.source, s.video_id, min(s.observed_at) AS gone_at, arg_max(s.status, s.observed_at) AS state
    FROM states s
    LEFT JOIN (SELECT source, video_id, max(observed_at) AS at FROM states WHERE status = 'live' GROUP BY ALL) l USING (source, video_id)
    LEFT JOIN (SELECT source, video_id, max(observed_at) AS at FROM counted_at GROUP BY ALL) n USING (source, video_id)
    WHERE s.status <> 'live' AND (l.at IS NULL OR s.observed_at > l.at) 
      AND (s.status NOT IN ('age_restricted', 'region_blocked') OR n.at IS NULL OR s.observed_at > n.at)
    GROUP BY ALL
),
changed AS (
    SELECT DISTINCT w.source, w.video_id, w.target
    FROM wanted w LEFT JOIN outcomes o USING (source, video_id, target)
    JOIN counted k ON k.source = w.source AND may_be(k.shorts, w.is_short, w.duration_s)
    WHERE list_contains($of_views, w.metric) AND k.starts > w.anchor_at
      AND k.starts <= coalesce(o.observed_at, w.anchor_at + to_hours(w.horizon_h))
),
measured AS (
    SELECT w.source, w.video_id, w.target, w.anchor_day, w.anchor_at,
           CASE WHEN k.target IS NOT NULL THEN 'censored' WHEN o.value IS NOT NULL THEN 'matured'
                WHEN g.gone_at IS NOT NULL THEN 'censored' ELSE 'pending' END AS status,
           CASE WHEN k.target IS NOT NULL THEN 'view_count_changed' WHEN o.value IS NULL THEN g.state END AS reason,
           CASE WHEN k.target IS NULL
                THEN CASE o.transform WHEN 'log' THEN ln(1 + greatest(o.value, 0)) ELSE o.value END END AS value,
           CASE WHEN k.target IS NULL THEN o.observed_at END AS observed_at,
           CASE WHEN k.target IS NULL THEN o.matured_at END AS matured_at
    FROM wanted w
    LEFT JOIN outcomes o USING (source, video_id, target)
    LEFT JOIN changed k USING (source, video_id, target)
    LEFT JOIN gone g ON g.source = w.source AND g.video_id = w.video_id
         AND (w.horizon_h IS NULL OR g.gone_at <= w.anchor_at + to_hours(w.horizon_h + w.tolerance_h))
)
SELECT * FROM measured
UNION ALL BY NAME
SELECT m.source, m.video_id, c.target, m.anchor_day, m.anchor_at,
       CASE WHEN bool_and(m.status = 'matured') THEN 'matured' WHEN bool_or(m.status = 'censored') THEN 'censored' ELSE 'pending' END AS status,
       min(m.reason) AS reason,
       CASE WHEN bool_and(m.status = 'matured') THEN list_sum(list(c.weight * m.value ORDER BY c.part)) END AS value,
       CASE WHEN bool_and(m.status = 'matured') THEN max(m.observed_at) END AS observed_at,
       CASE WHEN bool_and(m.status = 'matured') THEN max(m.matured_at) END AS matured_at
FROM measured m JOIN composites c ON c.part = m.target
GROUP BY m.source, m.video_id, c.target, m.anchor_day, m.anchor_at
HAVING count(*) = any_value(c.parts)
