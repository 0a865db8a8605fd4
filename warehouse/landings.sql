-- name: place
-- Contestants of the same cell, the one that stands first.
SELECT *, row_number() OVER (
    PARTITION BY video_id, name, observed_at
    ORDER BY known_at, filled DESC, views DESC NULLS LAST, likes DESC NULLS LAST, comments DESC NULLS LAST,
        shares DESC NULLS LAST, saves DESC NULLS LAST, digest, landing_id, row_number
) AS place
FROM {contestants}

-- name: lost_among_arriving
SELECT loser.* EXCLUDE (place), winner.landing_id AS kept_landing_id, {same} AS same
FROM ranked AS loser JOIN ranked AS winner USING (video_id, name, observed_at)
WHERE loser.place > 1 AND winner.place = 1

-- name: standing_videos
-- Whole records as the raw tables hold them, for the keys of a table.
WITH snapshot AS (
    SELECT {shared}, views, likes, comments, shares, saves, flags
    FROM (SELECT * FROM raw.snapshots WHERE {inside}) SEMI JOIN {keys} USING (video_id, observed_at)
), video AS (
    SELECT {shared}, {content}
    FROM (SELECT * FROM raw.videos WHERE {inside}) SEMI JOIN {keys} USING (video_id, observed_at)
), channel AS (
    SELECT {shared}, {channel}
    FROM (SELECT * FROM raw.channels WHERE {inside}) SEMI JOIN {keys} USING (video_id, observed_at)
), seen AS (
    SELECT {shared}, status
    FROM (SELECT * FROM raw.availability WHERE {inside}) SEMI JOIN {keys} USING (video_id, observed_at)
), record AS (
    SELECT {shared} FROM snapshot UNION SELECT {shared} FROM video UNION SELECT {shared} FROM seen
)
SELECT * FROM record LEFT JOIN snapshot USING ({shared}) LEFT JOIN video USING ({shared})
LEFT JOIN channel USING ({shared}) LEFT JOIN seen USING ({shared})

-- name: standing_cells
SELECT {shared}, {name} AS name {columns} FROM raw.{table} WHERE {inside} AND ({name}, video_id, observed_at) IN (
    SELECT (name, video_id, observed_at) FROM {keys}
)

-- name: rivals
-- Keys of these landings that a record of another landing has lost.
SELECT DISTINCT video_id, observed_at FROM raw.duplicates
WHERE source = $source AND kind = $kind AND list_contains($ids, kept_landing_id) AND NOT list_contains($ids, landing_id)

-- name: shared_days
SELECT DISTINCT landing_id FROM raw.landing_days SEMI JOIN {days} USING (day)
WHERE source = $source AND kind = $kind AND NOT list_contains($ids, landing_id)

-- name: needed_for_vacated
-- A key that these landings held is held otherwise now, and another landing's record had lost it.
SELECT DISTINCT loser.landing_id
FROM raw.duplicates AS loser
SEMI JOIN (SELECT * FROM vacated EXCEPT SELECT * FROM held_again) AS vacated USING (video_id, observed_at)
WHERE loser.source = $source AND loser.kind = $kind AND NOT list_contains($ids, loser.landing_id)

-- name: needed_for_fallen
-- A record that lost to what falls now may equal what stands now; its counts are in its landing only.
SELECT DISTINCT loser.landing_id
FROM raw.duplicates AS loser
JOIN placed AS fallen ON fallen.stood AND fallen.place > 1
    AND fallen.video_id = loser.video_id AND fallen.observed_at = loser.observed_at
JOIN placed AS winner ON winner.place = 1
    AND winner.video_id = loser.video_id AND winner.observed_at = loser.observed_at
WHERE loser.source = $source AND loser.kind = $kind AND NOT list_contains($ids, loser.landing_id)
    AND loser.reason = 'conflict' AND loser.known_at <> winner.known_at AND NOT {same}

-- name: fallen
SELECT loser.landing_id, loser.row_number, loser.video_id, loser.observed_at, loser.known_at,
    winner.landing_id AS kept_landing_id, {same} AS same
FROM placed AS loser JOIN placed AS winner USING (video_id, name, observed_at)
WHERE loser.stood AND loser.place > 1 AND winner.place = 1

-- name: retell_losers
-- Those that had lost to what falls lose to the new winner.
UPDATE raw.duplicates AS loser
SET kept_landing_id = fallen.kept_landing_id,
    reason = CASE WHEN loser.reason = 'duplicate' AND fallen.same THEN 'duplicate' ELSE 'conflict' END
FROM fallen
WHERE loser.source = $source AND loser.kind = $kind
    AND loser.video_id = fallen.video_id AND loser.observed_at = fallen.observed_at

-- name: recount_fallen
UPDATE raw.landings AS landing
SET accepted = landing.accepted - fell.records, duplicate = landing.duplicate + fell.records
FROM (SELECT landing_id, count(*) AS records FROM fallen GROUP BY landing_id) AS fell
WHERE landing.landing_id = fell.landing_id

-- name: lost
-- Arriving contestants that do not stand, with the one that does.
SELECT loser.landing_id, loser.row_number, loser.video_id, loser.name, loser.observed_at, loser.known_at,
    coalesce(winner.landing_id, loser.kept_landing_id) AS kept_landing_id,
    CASE WHEN winner.landing_id IS NULL THEN loser.same ELSE {same} END AS same
FROM arriving_losers AS loser LEFT JOIN (SELECT * FROM placed WHERE place = 1) AS winner
    USING (video_id, name, observed_at)
UNION ALL
SELECT loser.landing_id, loser.row_number, loser.video_id, loser.name, loser.observed_at, loser.known_at,
    winner.landing_id, {same}
FROM placed AS loser JOIN placed AS winner USING (video_id, name, observed_at)
WHERE NOT loser.stood AND loser.place > 1 AND winner.place = 1

-- name: lost_records
-- A record is lost where all its cells are.
SELECT landing_id, row_number, any_value(video_id) AS video_id, any_value(observed_at) AS observed_at,
    any_value(known_at) AS known_at, CASE WHEN bool_and(same) THEN 'duplicate' ELSE 'conflict' END AS reason,
    min(kept_landing_id) AS kept_landing_id
FROM lost {unless_surviving}
GROUP BY landing_id, row_number

-- name: insert_duplicates
INSERT INTO raw.duplicates BY NAME
SELECT landing_id, row_number, $source AS source, $kind AS kind, video_id, observed_at, known_at, reason, kept_landing_id
FROM {lost}

-- name: insert_quarantine
INSERT INTO raw.quarantine BY NAME
SELECT quarantine.*, landing.source, landing.kind, landing.contract_version
FROM arriving_quarantine AS quarantine JOIN arriving_landings AS landing USING (landing_id)

-- name: insert_days
INSERT INTO raw.landing_days BY NAME
SELECT days.*, landing.source, landing.kind, landing.contract_version
FROM arriving_days AS days JOIN arriving_landings AS landing USING (landing_id)

-- name: outcome
SELECT landing.landing_id, coalesce(stands.records, 0) AS accepted, coalesce(lost.records, 0) AS duplicate,
    coalesce(aside.records, 0) AS quarantined, said.known_at
FROM arriving_landings AS landing
LEFT JOIN (SELECT landing_id, count({record}) AS records FROM surviving GROUP BY landing_id) AS stands USING (landing_id)
LEFT JOIN (SELECT landing_id, count(*) AS records FROM lost_records GROUP BY landing_id) AS lost USING (landing_id)
LEFT JOIN (SELECT landing_id, count(*) AS records FROM arriving_quarantine GROUP BY landing_id) AS aside USING (landing_id)
LEFT JOIN (
    SELECT landing_id, max(known_at) AS known_at
    FROM (SELECT landing_id, known_at FROM arriving UNION ALL SELECT landing_id, known_at FROM arriving_losers)
    GROUP BY landing_id
) AS said USING (landing_id)

-- name: insert_landings
INSERT INTO raw.landings BY NAME
SELECT landing.* EXCLUDE (known_at), outcome.accepted, outcome.duplicate, outcome.quarantined,
    coalesce(landing.known_at, outcome.known_at, landing.received_at) AS known_at
FROM arriving_landings AS landing JOIN outcome USING (landing_id)

-- name: reasons
SELECT landing_id, reason, count(*) FROM lost_records GROUP BY ALL
UNION ALL SELECT landing_id, reason, count(*) FROM arriving_quarantine GROUP BY ALL

-- name: flag_counts
SELECT landing_id, flag, count(*)
FROM (SELECT landing_id, unnest(flags) AS flag FROM surviving WHERE flags IS NOT NULL)
GROUP BY ALL

-- name: repeated_keys
SELECT {key} FROM raw.{table} WHERE {inside} GROUP BY {key} HAVING count(*) > 1 LIMIT 1
