-- What the report reads, one query per name. $source is null for all sources.

-- name: metrics
SELECT * FROM evaluations.metrics WHERE $source::VARCHAR IS NULL OR source = $source ORDER BY ALL

-- name: roles
-- Every forecast row beside its role in the split: `fitted` rows are leaks, `unsplit` rows cannot be accounted for.
WITH forecast AS (
    SELECT source, target, cutoff, split, origin, video_id, forecaster
    FROM evaluations.predictions
    WHERE $source::VARCHAR IS NULL OR source = $source
), role AS (
    SELECT source, target, cutoff, split, origin, video_id,
           bool_or(role = 'train') AS fitted, bool_or(role = 'test') AS tested
    FROM evaluations.splits
    WHERE $source::VARCHAR IS NULL OR source = $source
    GROUP BY ALL
)
SELECT source, target, cutoff, split, origin, forecaster,
       count(*) AS forecasts,
       count(*) FILTER (coalesce(fitted, false)) AS fitted,
       min(video_id) FILTER (coalesce(fitted, false)) AS fitted_example,
       count(*) FILTER (NOT coalesce(fitted OR tested, false)) AS unsplit,
       min(video_id) FILTER (NOT coalesce(fitted OR tested, false)) AS unsplit_example
FROM forecast LEFT JOIN role USING (source, target, cutoff, split, origin, video_id)
GROUP BY ALL
ORDER BY ALL

-- name: split_sizes
SELECT source, target, cutoff, split, origin,
       count(*) FILTER (role = 'train') AS train, count(*) FILTER (role = 'test') AS test
FROM evaluations.splits
WHERE $source::VARCHAR IS NULL OR source = $source
GROUP BY ALL
ORDER BY ALL

-- name: embargo
-- Training rows whose outcome became known only after the origin that they were fitted at.
SELECT s.source, s.target, s.cutoff, s.origin, count(*) AS rows, min(s.video_id) AS example
FROM evaluations.splits s
JOIN (SELECT unnest($measured) AS pair) m ON m.pair.target = s.target
JOIN features.targets t ON t.source = s.source AND t.video_id = s.video_id AND t.target = m.pair.measured
WHERE s.split = 'time' AND s.role = 'train' AND t.matured_at > s.origin::TIMESTAMP
  AND ($source::VARCHAR IS NULL OR s.source = $source)
GROUP BY ALL
ORDER BY ALL

-- name: configurations
-- The forecasts of a configuration as one number that does not depend on their order, and their loss.
SELECT source, target, cutoff, split, forecaster, count(*) AS rows,
       sum(hash(origin, video_id, coalesce(point, probability))::HUGEINT)::VARCHAR AS forecasts,
       avg(CASE WHEN label IS NULL THEN abs(point - value) ELSE pow(probability - label, 2) END) AS loss,
       count(*) FILTER (split = 'time' AND (anchor_at < origin::TIMESTAMP OR anchor_at >= origin + INTERVAL 7 DAY)) AS outside,
       count(*) FILTER (matured_at <= as_of) AS known_before
FROM evaluations.predictions
WHERE $source::VARCHAR IS NULL OR source = $source
GROUP BY ALL
ORDER BY ALL

-- name: observed
-- Whether any video had a count of its own at a cutoff.
SELECT source, cutoff, count(*) FILTER (observations > 0) AS videos
FROM features.engagement
WHERE $source::VARCHAR IS NULL OR source = $source
GROUP BY ALL
ORDER BY ALL

-- name: forecasts
-- The champions' forecasts on the time split; of a large cell a sample that depends on nothing but the keys.
SELECT source, target, cutoff, origin, video_id, value, label, point, probability
FROM evaluations.predictions
JOIN (SELECT unnest($champions) AS champion) c
  ON c.champion = concat_ws(chr(31), source, target, cutoff, forecaster)
WHERE split = 'time'
QUALIFY row_number() OVER (PARTITION BY source, target, cutoff ORDER BY md5(video_id), origin) <= $sample
ORDER BY source, target, cutoff, origin, video_id

-- name: reliability
SELECT source, target, cutoff, forecaster, least(floor(probability * 10), 9)::INTEGER AS bin,
       avg(probability) AS stated, avg(label) AS observed, count(*) AS n
FROM evaluations.predictions
WHERE split = 'time' AND label IS NOT NULL AND ($source::VARCHAR IS NULL OR source = $source)
GROUP BY ALL
ORDER BY ALL

-- name: confusion
SELECT source, target, cutoff, label, (probability >= 0.5) AS called, count(*) AS n
FROM evaluations.predictions
JOIN (SELECT unnest($champions) AS champion) c
  ON c.champion = concat_ws(chr(31), source, target, cutoff, forecaster)
WHERE split = 'time' AND label IS NOT NULL
GROUP BY ALL
ORDER BY ALL

-- name: examples
-- Hits: the most accurate forecasts of what turned out large (a tenth of the outcomes, or the positives). Misses: the
-- largest errors either way. Beside each, what was known at the cutoff.
WITH champion_rows AS (
    SELECT p.*, coalesce(point - value, probability - label) AS error,
           quantile_cont(value, 0.9) OVER (PARTITION BY source, target, cutoff) AS large
    FROM evaluations.predictions p
    JOIN (SELECT unnest($champions) AS champion) c
      ON c.champion = concat_ws(chr(31), source, target, cutoff, forecaster)
    WHERE split = 'time'
), chosen AS (
    SELECT *, 'hit' AS kind FROM champion_rows WHERE coalesce(label = 1, value >= large)
    QUALIFY row_number() OVER (PARTITION BY source, target, cutoff ORDER BY abs(error), origin, video_id) <= $examples
    UNION ALL
    SELECT *, 'too low' AS kind FROM champion_rows WHERE error < 0
    QUALIFY row_number() OVER (PARTITION BY source, target, cutoff ORDER BY error, origin, video_id) <= $examples
    UNION ALL
    SELECT *, 'too high' AS kind FROM champion_rows WHERE error > 0
    QUALIFY row_number() OVER (PARTITION BY source, target, cutoff ORDER BY error DESC, origin, video_id) <= $examples
), links AS (
    SELECT source, video_id, arg_min(url, (known_at, observed_at)) AS url
    FROM raw.videos
    WHERE url IS NOT NULL AND (source, video_id) IN (SELECT (source, video_id) FROM chosen)
    GROUP BY ALL
)
SELECT p.source, p.target, p.cutoff, p.kind, p.origin, p.video_id, p.anchor_at, p.value, p.label, p.point, p.probability,
       p.lower_80, p.upper_80, p.last_level, p.new_channel, p.error, c.title, l.url,
       e.observations, e.last_age_h, e.views_log, h.channel_videos, h.channel_72h_median
FROM chosen p
LEFT JOIN features.content c ON c.source = p.source AND c.video_id = p.video_id
LEFT JOIN links l ON l.source = p.source AND l.video_id = p.video_id
LEFT JOIN features.engagement e
  ON e.source = p.source AND e.video_id = p.video_id AND e.cutoff = p.cutoff AND p.cutoff <> 'pre'
LEFT JOIN features.channel h ON h.source = p.source AND h.video_id = p.video_id AND h.cutoff = p.cutoff
ORDER BY p.source, p.target, p.cutoff, p.kind, abs(p.error) * CASE WHEN p.kind = 'hit' THEN 1 ELSE -1 END, p.origin, p.video_id

-- name: importance
SELECT * FROM evaluations.importance WHERE $source::VARCHAR IS NULL OR source = $source ORDER BY ALL

-- name: audits
-- The latest audit. One without differences is a single row for all sources, whose `found` says what was compared.
SELECT source, target, cutoff, count(DISTINCT video_id) AS rows, count(DISTINCT video_id) FILTER (NOT equal) AS unequal,
       max(found) FILTER (equal) AS compared
FROM evaluations.audits
WHERE audit_id = (SELECT audit_id FROM evaluations.audits ORDER BY audited_at DESC, audit_id LIMIT 1)
  AND ($source::VARCHAR IS NULL OR source IN ($source, 'all'))
GROUP BY ALL
ORDER BY ALL

-- name: audit_differences
SELECT source, target, cutoff, "column", count(*) AS rows, min(video_id) AS example,
       arg_min(expected, video_id) AS expected, arg_min(found, video_id) AS found
FROM evaluations.audits
WHERE NOT equal AND audit_id = (SELECT audit_id FROM evaluations.audits ORDER BY audited_at DESC, audit_id LIMIT 1)
  AND ($source::VARCHAR IS NULL OR source IN ($source, 'all'))
GROUP BY ALL
ORDER BY ALL

-- name: landings
SELECT source, count(*) AS landings, sum(bytes)::BIGINT AS bytes, sum(rows_read)::BIGINT AS rows_read,
       sum(accepted)::BIGINT AS accepted, sum(duplicate)::BIGINT AS duplicate, sum(quarantined)::BIGINT AS quarantined,
       count(*) FILTER (rows_read <> accepted + duplicate + quarantined) AS unbalanced,
       min(known_at) AS first_known, max(known_at) AS last_known
FROM raw.landings
WHERE $source::VARCHAR IS NULL OR source = $source
GROUP BY ALL
ORDER BY ALL

-- name: time_sources
SELECT source, time_source, count(*) AS landings
FROM raw.landings
WHERE $source::VARCHAR IS NULL OR source = $source
GROUP BY ALL
ORDER BY ALL

-- name: set_aside
SELECT source, 'duplicate' AS fate, reason, count(*) AS records
FROM raw.duplicates WHERE $source::VARCHAR IS NULL OR source = $source GROUP BY ALL
UNION ALL
SELECT source, 'quarantined' AS fate, reason || coalesce(' (' || field || ')', '') AS reason, count(*) AS records
FROM raw.quarantine WHERE $source::VARCHAR IS NULL OR source = $source GROUP BY ALL
ORDER BY source, fate, records DESC, reason

-- name: withdrawn
SELECT t.source, t.target, t.cutoff, t.origin, t.training_set_id, w.why, w.withdrawn_at,
       string_agg(nullif(w.version, ''), ', ' ORDER BY w.version) AS models
FROM raw.withdrawn w
JOIN (SELECT DISTINCT source, target, cutoff, origin, training_set_id FROM models.training_sets) t USING (training_set_id)
WHERE $source::VARCHAR IS NULL OR t.source = $source
GROUP BY ALL
ORDER BY ALL

-- name: statuses
SELECT source, target, status, count(*) AS videos
FROM features.targets
WHERE $source::VARCHAR IS NULL OR source = $source
GROUP BY ALL
ORDER BY ALL

-- name: personal
SELECT source, count(DISTINCT channel_id) AS channels, count(DISTINCT name) AS names
FROM raw.channels
WHERE $source::VARCHAR IS NULL OR source = $source
GROUP BY ALL
ORDER BY ALL

-- name: versions
SELECT landing_id, contract_version FROM raw.landings WHERE $source::VARCHAR IS NULL OR source = $source ORDER BY ALL
