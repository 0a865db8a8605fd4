-- What can be a transcript: the captions of each video and kind that were usable first, and the sound that speech is recognised in.
-- Reads: raw.captions, raw.media, raw.contents. Of captions that were usable at the same time those of the spoken language
-- (`-orig`) come first, then those of the preferred one. Of several sounds the first usable one that is not silent.
WITH captions AS (
    SELECT source, video_id, kind AS origin, text, language, NULL::VARCHAR AS content_id,
           greatest(observed_at, known_at) AS usable_at,
           row_number() OVER (
               PARTITION BY source, video_id, kind
               ORDER BY greatest(observed_at, known_at), ends_with(language, '-orig') DESC,
                        coalesce(split_part(language, '-', 1) = $language, FALSE) DESC, language, text) AS place
    FROM raw.captions
    WHERE greatest(observed_at, known_at) <= $now AND trim(text) <> ''
),
sounds AS (
    SELECT m.source, m.video_id, 'speech' AS origin, NULL::VARCHAR AS text, NULL::VARCHAR AS language, m.content_id,
           greatest(m.observed_at, m.known_at) AS usable_at,
           row_number() OVER (
               PARTITION BY m.source, m.video_id
               ORDER BY coalesce(c.has_sound, FALSE) DESC, greatest(m.observed_at, m.known_at), m.kind, m.position) AS place
    FROM raw.media m LEFT JOIN raw.contents c USING (content_id)
    WHERE m.kind IN ('audio', 'video') AND m.content_id IS NOT NULL
          AND greatest(m.observed_at, m.known_at) <= $now
)
SELECT source, video_id, origin, text, language, content_id, usable_at AS known_at
FROM (SELECT * FROM captions UNION ALL SELECT * FROM sounds)
WHERE place = 1
