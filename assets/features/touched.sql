-- Which anchor days the records of landings bear on. Reads landings (landing_id), anchors; $longest is the greatest age
-- that anything but a target of variable horizon looks at, $variable the sources that have such a target, $oldest the
-- greatest age of a cutoff, $history how long what was seen of a channel counts.
WITH records AS (
    SELECT landing_id, source, video_id, observed_at, greatest(observed_at, known_at) AS usable_at FROM raw.snapshots
    WHERE landing_id IN (SELECT landing_id FROM landings)
    UNION ALL SELECT landing_id, source, video_id, observed_at, greatest(observed_at, known_at) FROM raw.availability
    WHERE landing_id IN (SELECT landing_id FROM landings)
    UNION ALL SELECT landing_id, source, video_id, observed_at, greatest(observed_at, known_at) FROM raw.metrics
    WHERE landing_id IN (SELECT landing_id FROM landings)
    UNION ALL SELECT landing_id, source, video_id, observed_at, greatest(observed_at, known_at) FROM raw.labels
    WHERE landing_id IN (SELECT landing_id FROM landings) AND comment_id = ''
)
SELECT DISTINCT landing_id, CAST(anchor_at AS DATE) AS day FROM (
    -- videos that have an anchor already
    SELECT r.landing_id, c.anchor_at FROM records r JOIN features.content c USING (source, video_id)
    WHERE r.observed_at <= c.anchor_at + $longest OR list_contains($variable, r.source)
    -- what the records themselves say of it: of another day, or sooner than the record that content is taken from
    UNION ALL SELECT v.landing_id, unnest([v.published_at, c.anchor_at]) FROM raw.videos v JOIN anchors a USING (source)
    LEFT JOIN features.content c USING (source, video_id)
    WHERE v.landing_id IN (SELECT landing_id FROM landings) AND a.anchor = 'published_at'
      AND (c.anchor_at IS DISTINCT FROM v.published_at OR greatest(v.observed_at, v.known_at) <= c.known_at)
    -- a channel on its own bears on what its videos were told of it
    UNION ALL SELECT f.landing_id, c.anchor_at FROM raw.channels f JOIN features.content c USING (source, channel_id)
    WHERE f.landing_id IN (SELECT landing_id FROM landings) AND f.video_id = ''
      AND c.anchor_at >= greatest(f.observed_at, f.known_at) - $oldest AND c.anchor_at <= f.observed_at + $history
    UNION ALL SELECT r.landing_id, r.usable_at FROM records r JOIN anchors a USING (source)
    LEFT JOIN features.content c USING (source, video_id)
    WHERE a.anchor = 'first_seen_at' AND (c.video_id IS NULL OR r.usable_at < c.anchor_at)
)
WHERE anchor_at IS NOT NULL
