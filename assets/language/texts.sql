-- language.texts before it is looked at: what is said in or of each video, and when each wording first was usable.
-- Reads: raw.videos (titles), raw.captions and language.transcripts (speech: transcripts), raw.comments.
WITH said AS (
    SELECT source, video_id, 'title' AS part, '' AS item_id, coalesce(title, '') AS text, observed_at AS written_at,
           greatest(observed_at, known_at) AS known_at
    FROM raw.videos
    UNION ALL
    SELECT source, video_id, 'transcript', language || ' ' || kind, text, observed_at, greatest(observed_at, known_at)
    FROM raw.captions
    UNION ALL
    SELECT source, video_id, 'transcript', origin, text, known_at, known_at
    FROM language.transcripts WHERE origin = 'speech' AND text IS NOT NULL
    UNION ALL
    SELECT source, video_id, 'comment', comment_id, coalesce(text, ''), coalesce(published_at, observed_at),
           greatest(observed_at, known_at)
    FROM raw.comments
)
SELECT source, video_id, part, item_id, sha256(text) AS text_id, any_value(text) AS text, min(written_at) AS written_at,
       min(known_at) AS known_at
FROM said GROUP BY source, video_id, part, item_id, sha256(text)
