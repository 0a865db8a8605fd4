-- When the latest observation behind the inputs of each forecast came to be known.
-- Reads: asked (video_id, channel_id, anchor_at, as_of: the rows to forecast), records (the record that content was read from),
-- observations (of the video: counts, measures), contents (what vectors were made of; empty for a model that reads none),
-- subscribers (of the channel), levels (of the channel's earlier videos).
-- What the source's week was like is left out: it is made of what was known by the midnight before.
WITH earlier AS (
    SELECT a.video_id, unnest([l.first_matured_at, l.h24_matured_at, l.h72_matured_at, l.h168_matured_at]) AS known_at
    FROM asked a JOIN levels l ON l.channel_id = a.channel_id AND l.anchor_at < a.anchor_at AND l.anchor_at >= a.anchor_at - INTERVAL 90 DAY
),
usable AS (
    SELECT video_id, known_at FROM observations
    UNION ALL SELECT video_id, known_at FROM earlier
    UNION ALL SELECT a.video_id, s.known_at FROM asked a JOIN subscribers s USING (channel_id)
),
known AS (
    SELECT u.video_id, u.known_at FROM usable u JOIN asked a USING (video_id) WHERE u.known_at <= a.as_of
    UNION ALL SELECT video_id, known_at FROM records
    UNION ALL SELECT video_id, known_at FROM contents
)
SELECT video_id, max(known_at) AS inputs_known_at FROM known GROUP BY video_id
