-- features.metrics: further measures as last known by anchor + cutoff.
-- Reads: usable (the point-in-time read over raw.metrics).
SELECT source, video_id, cutoff, metric, anchor_day, as_of, latest[1].value AS value
FROM usable
