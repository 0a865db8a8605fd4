-- The same work in plain SQL, for one known layout: counts with K and M, bad keys set aside, one record per key.
CREATE TABLE arrived AS
SELECT row_number() OVER () AS row_number, * FROM read_csv('{path}', all_varchar = TRUE, header = TRUE, delim = ',');

CREATE TABLE parsed AS
SELECT row_number, nullif(video_id, '') AS video_id, try_cast(collected_at AS TIMESTAMP) AS observed_at,
    CASE WHEN try_cast(views AS BIGINT) >= 0 THEN try_cast(views AS BIGINT)
         WHEN regexp_full_match(views, '[0-9]+([.][0-9]+)?[KM]')
             THEN CAST(round(try_cast(rtrim(views, 'KM') AS DOUBLE) * CASE WHEN ends_with(views, 'K') THEN 1e3 ELSE 1e6 END) AS BIGINT)
    END AS views,
    try_cast(likes AS BIGINT) AS likes, try_cast("comments" AS BIGINT) AS "comments", try_cast(shares AS BIGINT) AS shares,
    try_cast(saves AS BIGINT) AS saves
FROM arrived;

CREATE TABLE ranked AS
SELECT *, row_number() OVER (
    PARTITION BY video_id, observed_at
    ORDER BY (views IS NOT NULL)::INTEGER DESC, views DESC, likes DESC, "comments" DESC, shares DESC, saves DESC, row_number
) AS place
FROM parsed WHERE video_id IS NOT NULL AND observed_at IS NOT NULL;

CREATE TABLE snapshots AS
SELECT 'simulator' AS source, video_id, observed_at, observed_at AS known_at, views, likes, "comments", shares, saves,
    '{landing_id}' AS landing_id, row_number
FROM ranked WHERE place = 1;
CREATE TABLE duplicates AS SELECT row_number, video_id, observed_at FROM ranked WHERE place > 1;
CREATE TABLE quarantine AS SELECT * FROM parsed WHERE video_id IS NULL OR observed_at IS NULL;
DROP TABLE arrived;
DROP TABLE parsed;
DROP TABLE ranked;
