-- What language.summaries is made of: the transcripts and descriptions of each video that are longer than a summary.
-- Reads: language.texts, raw.videos; of $refused sources nothing, and nothing that was known after $now.
SELECT source, video_id, 'transcript' AS part, text_id, min(known_at) AS known_at
FROM language.texts
WHERE part = 'transcript' AND state = 'valid' AND length >= $longer AND known_at <= $now AND NOT list_contains($refused, source)
GROUP BY source, video_id, text_id
UNION ALL
SELECT source, video_id, 'description', sha256(description), min(greatest(observed_at, known_at))
FROM raw.videos
WHERE length(description) >= $longer AND greatest(observed_at, known_at) <= $now AND NOT list_contains($refused, source)
GROUP BY source, video_id, sha256(description)
