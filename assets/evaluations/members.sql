-- Which videos each world holds: its subject; with_channel, every video that was ever recorded with one of its channels;
-- without subject (an empty one), every video of the source of which anything became usable in the week before the moment.
-- Reads: $worlds (world, source, moment, subject, with_channel, ...), raw.videos, raw.snapshots.
WITH asked AS (SELECT * FROM (SELECT unnest($worlds, recursive := true))),
own_channels AS (
    SELECT DISTINCT a.world, v.source, v.channel_id FROM asked a
    JOIN raw.videos v ON v.source = a.source AND v.video_id = a.subject
    WHERE a.with_channel AND v.channel_id IS NOT NULL
),
usable_days AS (
    SELECT DISTINCT source, video_id, CAST(usable_at AS DATE) AS day FROM (
        SELECT source, video_id, greatest(observed_at, known_at) AS usable_at FROM raw.videos
        UNION ALL SELECT source, video_id, greatest(observed_at, known_at) FROM raw.snapshots)
    WHERE (SELECT bool_or(subject = '') FROM asked)
)
SELECT world, source, subject AS video_id FROM asked WHERE subject <> ''
UNION SELECT c.world, v.source, v.video_id FROM own_channels c JOIN raw.videos v USING (source, channel_id)
UNION SELECT a.world, u.source, u.video_id FROM asked a JOIN usable_days u USING (source)
WHERE a.subject = '' AND u.day BETWEEN CAST(a.moment - INTERVAL 7 DAY AS DATE) AND CAST(a.moment AS DATE)
