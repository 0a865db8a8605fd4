-- features.channel: how the channel's earlier videos (trailing 90 days) had done by anchor + cutoff.
-- Medians and quantiles only: they do not depend on the order of rows, so a recomputation is equal to the bit.
-- What is known only grows from cutoff to cutoff, so that moments of a video with equal counts know the same levels:
-- the quantiles are computed once for each such state.
-- Reads: moments (content x cutoffs), history (features.levels back to 90 days before), subscribers (point-in-time read).
WITH numbered AS (
    SELECT *, row_number() OVER () AS moment FROM moments
),
states AS (
    SELECT m.moment, m.source, m.video_id,
           [count(*), count(*) FILTER (h.h24_matured_at <= m.as_of), count(*) FILTER (h.h72_matured_at <= m.as_of),
            count(*) FILTER (h.h168_matured_at <= m.as_of)] AS known
    FROM numbered m JOIN history h
      ON h.source = m.source AND h.channel_id = m.channel_id
     AND h.anchor_at < m.anchor_at AND h.anchor_at >= m.anchor_at - INTERVAL 90 DAY
     AND h.first_matured_at <= m.as_of
    GROUP BY ALL
),
representatives AS (
    SELECT moment, min(moment) OVER (PARTITION BY source, video_id, known) AS representative FROM states
),
pairs AS (
    SELECT m.moment, h.anchor_at AS earlier_at, h.first_log,
           CASE WHEN h.h24_matured_at <= m.as_of THEN h.h24_log END AS h24_log,
           CASE WHEN h.h72_matured_at <= m.as_of THEN h.h72_log END AS h72_log,
           CASE WHEN h.h168_matured_at <= m.as_of THEN h.h168_log END AS h168_log
    FROM numbered m
    SEMI JOIN representatives r ON r.representative = m.moment
    JOIN history h
      ON h.source = m.source AND h.channel_id = m.channel_id
     AND h.anchor_at < m.anchor_at AND h.anchor_at >= m.anchor_at - INTERVAL 90 DAY
     AND h.first_matured_at <= m.as_of
),
summary AS (
    SELECT moment,
           count(*) AS videos,
           median(first_log) AS first_median,
           median(h24_log) AS h24_median,
           quantile_cont(h72_log, [0.1, 0.5, 0.9]) AS h72,
           median(h168_log) AS h168_median,
           quantile_cont(h72_log - first_log, [0.1, 0.5, 0.9]) AS growth,
           count(h72_log) AS growth_count,
           list_median(max((earlier_at, h24_log), 3) FILTER (h24_log IS NOT NULL).list_transform(x -> x[2])) AS h24_recent_median,
           max(earlier_at) AS last_at
    FROM pairs
    GROUP BY moment
)
SELECT m.source, m.video_id, m.cutoff, m.anchor_day, m.as_of,
       coalesce(s.videos, 0)::INTEGER AS channel_videos,
       s.first_median AS channel_first_median,
       s.h24_median AS channel_24h_median,
       s.h72[2] AS channel_72h_median,
       s.h168_median AS channel_168h_median,
       CASE WHEN s.growth_count > 1 THEN s.h72[3] - s.h72[1] END AS channel_72h_spread,
       s.growth[2] AS channel_growth_median,
       CASE WHEN s.growth_count > 1 THEN s.growth[3] - s.growth[1] END AS channel_growth_spread,
       coalesce(s.growth_count, 0)::INTEGER AS channel_growth_count,
       s.h24_recent_median - s.h24_median AS channel_trend,
       epoch_us(m.anchor_at - s.last_at) / 8.64e10 AS channel_days_since_last,
       CASE WHEN c.latest[1].observed_at >= m.as_of - INTERVAL 90 DAY THEN ln(1 + c.latest[1].subscribers) END
           AS channel_subscribers_log
FROM numbered m
LEFT JOIN representatives r USING (moment)
LEFT JOIN summary s ON s.moment = r.representative
LEFT JOIN subscribers c ON c.source = m.source AND c.video_id = m.video_id AND c.cutoff = m.cutoff
