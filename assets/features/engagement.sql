-- features.engagement: what the video's own counts said by anchor + cutoff.
-- Reads: usable (the point-in-time read over snapshots with views: the latest three, the earliest and their number).
WITH read AS (
    SELECT source, video_id, cutoff, anchor_day, as_of, facts, earliest AS f,
           latest[1] AS a, latest[2] AS b, latest[3] AS c,
           epoch_us(latest[1].observed_at - anchor_at) / 3.6e9 AS last_age_h,
           epoch_us(earliest.observed_at - anchor_at) / 3.6e9 AS first_age_h,
           epoch_us(as_of - latest[1].observed_at) / 3.6e9 AS staleness_h,
           epoch_us(latest[1].observed_at - latest[2].observed_at) / 3.6e9 AS last_interval_h,
           epoch_us(latest[2].observed_at - latest[3].observed_at) / 3.6e9 AS previous_interval_h
    FROM usable
),
velocities AS (
    SELECT *,
           ln(1 + greatest(a.views - b.views, 0) / last_interval_h) AS velocity_log,
           ln(1 + greatest(b.views - c.views, 0) / previous_interval_h) AS previous_velocity_log
    FROM read
)
SELECT source, video_id, cutoff, anchor_day, as_of,
       facts::INTEGER AS observations, last_age_h, staleness_h,
       ln(1 + a.views) AS views_log, ln(1 + a.likes) AS likes_log, ln(1 + a.comments) AS comments_log,
       ln(1 + a.shares) AS shares_log, ln(1 + a.saves) AS saves_log,
       ln(1 + f.views) AS first_views_log, first_age_h,
       ln(1 + a.views) - ln(1 + f.views) AS growth_log,
       ln(1 + a.views) - ln(1 + b.views) AS increment_log,
       CASE WHEN last_age_h > 0 THEN ln(1 + a.views / last_age_h) END AS rate_log,
       velocity_log,
       velocity_log - previous_velocity_log AS acceleration,
       a.likes / nullif(a.views, 0)::DOUBLE AS like_rate,
       a.comments / nullif(a.views, 0)::DOUBLE AS comment_rate,
       a.shares / nullif(a.views, 0)::DOUBLE AS share_rate,
       a.saves / nullif(a.views, 0)::DOUBLE AS save_rate,
       (a.views < b.views)::INTEGER AS falls
FROM velocities
