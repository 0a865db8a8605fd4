-- The best plain SQL we know for features.engagement: an aggregate per video and cutoff over the usable snapshots.
INSERT INTO features.engagement BY NAME
WITH usable AS (
    SELECT c.source, c.video_id, c.anchor_day, c.anchor_at, k.cutoff, c.anchor_at + to_hours(k.age_h) AS as_of,
           arg_max({'at': s.observed_at, 'views': s.views, 'likes': s.likes, 'comments': s.comments, 'shares': s.shares,
                    'saves': s.saves}, s.observed_at, 3) AS o,
           arg_min({'at': s.observed_at, 'views': s.views}, s.observed_at) AS f,
           count(*) AS n
    FROM features.content c
    JOIN raw.snapshots s ON s.source = c.source AND s.video_id = c.video_id
    CROSS JOIN (VALUES ('0h', 0), ('1h', 1), ('3h', 3), ('6h', 6), ('24h', 24), ('72h', 72)) k(cutoff, age_h)
    WHERE c.anchor_day >= $start AND c.anchor_day < $end AND s.views IS NOT NULL
      AND s.observed_at <= c.anchor_at + to_hours(k.age_h) AND s.known_at <= c.anchor_at + to_hours(k.age_h)
      AND s.observed_at >= $start AND s.observed_at < $end + INTERVAL 73 HOUR
    GROUP BY ALL
),
hours AS (
    SELECT *, epoch_us(o[1].at - o[2].at) / 3.6e9 AS last_h, epoch_us(o[2].at - o[3].at) / 3.6e9 AS before_h,
           epoch_us(o[1].at - anchor_at) / 3.6e9 AS age_h
    FROM usable
)
SELECT source, video_id, cutoff, anchor_day, as_of, n::INTEGER AS observations, age_h AS last_age_h,
       epoch_us(as_of - o[1].at) / 3.6e9 AS staleness_h,
       ln(1 + o[1].views) AS views_log, ln(1 + o[1].likes) AS likes_log, ln(1 + o[1].comments) AS comments_log,
       ln(1 + o[1].shares) AS shares_log, ln(1 + o[1].saves) AS saves_log,
       ln(1 + f.views) AS first_views_log, epoch_us(f.at - anchor_at) / 3.6e9 AS first_age_h,
       ln(1 + o[1].views) - ln(1 + f.views) AS growth_log, ln(1 + o[1].views) - ln(1 + o[2].views) AS increment_log,
       CASE WHEN age_h > 0 THEN ln(1 + o[1].views / age_h) END AS rate_log,
       ln(1 + greatest(o[1].views - o[2].views, 0) / last_h) AS velocity_log,
       ln(1 + greatest(o[1].views - o[2].views, 0) / last_h) - ln(1 + greatest(o[2].views - o[3].views, 0) / before_h) AS acceleration,
       o[1].likes / nullif(o[1].views, 0)::DOUBLE AS like_rate, o[1].comments / nullif(o[1].views, 0)::DOUBLE AS comment_rate,
       o[1].shares / nullif(o[1].views, 0)::DOUBLE AS share_rate, o[1].saves / nullif(o[1].views, 0)::DOUBLE AS save_rate,
       (o[1].views < o[2].views)::INTEGER AS falls
FROM hours
