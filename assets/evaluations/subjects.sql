-- Of the videos asked for: the anchor as raw data states it, the record that their content is taken from and their first
-- snapshot, if there is one. Says once more, apart from the feature code, what an anchor is, and that where it is the publication nothing
-- observed before its day counts.
-- Reads: $videos (source, video_id, anchor), $now, raw.snapshots, raw.videos.
WITH asked AS (SELECT DISTINCT * FROM (SELECT unnest($videos, recursive := true))),
seen AS (
    SELECT source, video_id, observed_at, greatest(observed_at, known_at) AS usable_at
    FROM raw.snapshots SEMI JOIN asked USING (source, video_id)
    WHERE greatest(observed_at, known_at) <= $now
),
recorded AS (
    SELECT v.source, v.video_id, v.observed_at AS record_at, greatest(v.observed_at, v.known_at) AS usable_at,
           a.anchor = 'published_at' AS published,
           CASE a.anchor WHEN 'published_at' THEN v.published_at ELSE f.first_seen_at END AS anchor_at
    FROM raw.videos v JOIN asked a USING (source, video_id)
    LEFT JOIN (SELECT source, video_id, min(usable_at) AS first_seen_at FROM seen GROUP BY ALL) f USING (source, video_id)
    WHERE greatest(v.observed_at, v.known_at) <= $now
),
chosen AS (
    SELECT * FROM recorded
    WHERE anchor_at IS NOT NULL AND (NOT published OR record_at >= CAST(anchor_at AS DATE))
    QUALIFY row_number() OVER (PARTITION BY source, video_id ORDER BY usable_at, record_at) = 1
)
SELECT c.source, c.video_id, c.anchor_at, c.record_at,
       arg_min(s.observed_at, (s.usable_at, s.observed_at)) AS snapshot_at
FROM chosen c LEFT JOIN seen s
  ON s.source = c.source AND s.video_id = c.video_id AND (NOT c.published OR s.observed_at >= CAST(c.anchor_at AS DATE))
GROUP BY ALL
