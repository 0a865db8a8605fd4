-- Per video of a fusion: when its vector counts, its anchor, and its outcome with when it was known.
-- Reads: $fusion, $target, $now, embeddings.fused, embeddings.contents, features.content, features.targets.
-- As a neighbour a video is usable once its outcome had matured and all that its vector is made of was known.
WITH known AS (
    SELECT source, video_id, max(known_at) AS known_at FROM embeddings.contents WHERE rank = 1 GROUP BY source, video_id
),
outcomes AS (
    SELECT source, video_id, value, matured_at FROM features.targets
    WHERE target = $target AND status = 'matured' AND value IS NOT NULL AND matured_at <= $now
)
SELECT f.source, f.video_id, f.version, c.anchor_at, CAST(c.anchor_at AS DATE) AS day, o.value,
       CASE WHEN o.value IS NOT NULL THEN greatest(o.matured_at, k.known_at) END AS usable_at
FROM embeddings.fused f
JOIN features.content c USING (source, video_id)
JOIN known k USING (source, video_id)
LEFT JOIN outcomes o USING (source, video_id)
WHERE f.fusion = $fusion AND f.vector IS NOT NULL AND c.anchor_at <= $now
ORDER BY f.source, f.video_id
