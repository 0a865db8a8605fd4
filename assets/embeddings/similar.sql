-- The best $k of the videos found, each with the first of $targets that had matured before $before.
-- Reads: videos (source, video_id, position, cosine), features.content, features.targets; leaves out the query itself, $own.
WITH outcomes AS (
    SELECT source, video_id, arg_min(struct_pack(target, value), list_position($targets, target)) AS outcome
    FROM features.targets
    WHERE status = 'matured' AND matured_at < $before AND list_contains($targets, target)
      AND (source, video_id) IN (SELECT (source, video_id) FROM videos)
    GROUP BY source, video_id
)
SELECT v.source, v.video_id, v.cosine, c.title, c.anchor_at, o.outcome.target AS target, o.outcome.value AS outcome
FROM videos v
LEFT JOIN features.content c USING (source, video_id)
LEFT JOIN outcomes o USING (source, video_id)
WHERE v.source || '/' || v.video_id IS DISTINCT FROM $own
ORDER BY v.position, v.source, v.video_id
LIMIT $k
