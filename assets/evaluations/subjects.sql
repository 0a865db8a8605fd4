-- Of the videos asked for: the anchor as raw data states it, the record that their content is taken from and their first
-- snapshot. Says once more, apart from the feature code, what an anchor is.
-- Reads: $videos (source, video_id, anchor), $now, raw.snapshots, raw.videos.
WITH asked AS (SELECT DISTINCT * FROM (SELECT unnest($videos, recursive := true))),
seen AS (
    SELECT s.source, s.video_id, min(greatest(s.observed_at, s.known_at)) AS first_seen_at,
           arg_min(s.observed_at, (greatest(s.observed_at, s.known_at), s.observed_at)) AS snapshot_at
    FROM raw.snapshots s SEMI JOIN asked USING (source, video_id)
    WHERE greatest(s.observed_at, s.known_at) <= $now
    GROUP BY ALL
),
recorded AS (
    SELECT v.source, v.video_id, v.observed_at AS record_at, s.snapshot_at, greatest(v.observed_at, v.known_at) AS usable_at,
           CASE a.anchor WHEN 'published_at' THEN v.published_at ELSE s.first_seen_at END AS anchor_at
    FROM raw.videos v JOIN asked a USING (source, video_id) JOIN seen s USING (source, video_id)
    WHERE greatest(v.observed_at, v.known_at) <= $now
)
SELECT source, video_id, anchor_at, record_at, snapshot_at FROM recorded
WHERE anchor_at IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY source, video_id ORDER BY usable_at, record_at) = 1
