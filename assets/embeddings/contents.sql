-- embeddings.contents: every distinct text, picture, sound and film of every video, and when it first was usable.
-- Reads: raw.videos, raw.media, raw.contents. A film has a sound of its own; single frames are no content of a video.
WITH texts AS (
    SELECT source, video_id, title, description, min(greatest(observed_at, known_at)) AS known_at
    FROM raw.videos GROUP BY ALL
),
media AS (
    SELECT source, video_id, kind, content_id, min(greatest(observed_at, known_at)) AS known_at
    FROM raw.media WHERE state = 'done' AND content_id IS NOT NULL GROUP BY ALL
),
found AS (
    SELECT source, video_id, 'text' AS modality, sha256(coalesce(title, '') || chr(10) || coalesce(description, '')) AS content_id, known_at
    FROM texts
    UNION ALL
    SELECT source, video_id, CASE kind WHEN 'thumbnail' THEN 'image' ELSE kind END, content_id, known_at
    FROM media WHERE kind IN ('thumbnail', 'image', 'audio', 'video')
    UNION ALL
    SELECT m.source, m.video_id, 'audio', c.sound_id, m.known_at
    FROM media m JOIN raw.contents c USING (content_id) WHERE m.kind = 'video' AND c.sound_id IS NOT NULL
)
SELECT source, video_id, modality, content_id, min(known_at) AS known_at FROM found GROUP BY ALL
