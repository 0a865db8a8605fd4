-- features.context for days in [$start, $end): how the source did in the seven days before each day.
-- Reads: history (features.levels).
WITH days AS (
    SELECT s.source, CAST(d.day AS DATE) AS day, d.day AS start_at, d.day - INTERVAL 7 DAY AS week_at
    FROM (SELECT DISTINCT source FROM history) s,
         (SELECT unnest(range($start, $end, INTERVAL 1 DAY)) AS day) d
)
SELECT d.source, d.day,
       count(*) FILTER (h.first_matured_at >= d.week_at)::INTEGER AS context_videos,
       median(h.first_log) FILTER (h.first_matured_at >= d.week_at) AS context_first_median,
       median(h.h24_log) FILTER (h.h24_matured_at >= d.week_at AND h.h24_matured_at < d.start_at) AS context_24h_median,
       median(h.h72_log) FILTER (h.h72_matured_at >= d.week_at AND h.h72_matured_at < d.start_at) AS context_72h_median,
       median(h.h72_log - h.first_log)
           FILTER (h.h72_matured_at >= d.week_at AND h.h72_matured_at < d.start_at) AS context_growth_median
FROM days d JOIN history h
  ON h.source = d.source AND h.first_matured_at < d.start_at
 AND (h.first_matured_at >= d.week_at
      OR (h.h24_matured_at >= d.week_at AND h.h24_matured_at < d.start_at)
      OR (h.h72_matured_at >= d.week_at AND h.h72_matured_at < d.start_at))
GROUP BY ALL
