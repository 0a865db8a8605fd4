-- features.levels: views at fixed ages, each the first to be known of the observations within half the age after it.
-- Late rows cannot change a level once it is known, so a level is usable at t exactly when its matured_at <= t.
-- Reads: content (anchors in the range), snapshots.
WITH observed AS (
    SELECT c.source, c.video_id, c.anchor_day, c.anchor_at, c.channel_id,
           ln(1 + s.views) AS views_log, s.observed_at,
           greatest(s.observed_at, s.known_at, c.known_at) AS matured_at,
           epoch_us(s.observed_at - c.anchor_at) / 3.6e9 AS age_h
    FROM content c JOIN snapshots s USING (source, video_id)
    WHERE s.views IS NOT NULL
)
SELECT source, video_id, anchor_day, anchor_at, channel_id,
       first.views_log AS first_log, first.matured_at AS first_matured_at,
       h24.views_log AS h24_log, h24.matured_at AS h24_matured_at,
       h72.views_log AS h72_log, h72.matured_at AS h72_matured_at,
       h168.views_log AS h168_log, h168.matured_at AS h168_matured_at
FROM (
    SELECT source, video_id, anchor_day, anchor_at, channel_id,
           arg_min({'views_log': views_log, 'matured_at': matured_at}, (matured_at, observed_at)) AS first,
           arg_min({'views_log': views_log, 'matured_at': matured_at}, (matured_at, observed_at))
               FILTER (age_h BETWEEN 24 AND 36) AS h24,
           arg_min({'views_log': views_log, 'matured_at': matured_at}, (matured_at, observed_at))
               FILTER (age_h BETWEEN 72 AND 108) AS h72,
           arg_min({'views_log': views_log, 'matured_at': matured_at}, (matured_at, observed_at))
               FILTER (age_h BETWEEN 168 AND 252) AS h168
    FROM observed
    GROUP BY ALL
)
