-- The first known content of every video per modality of a fusion, how far it is encoded, and a version of all that.
-- Reads: $now, encoders (the fusion's encoder per modality), encoded (modality, content_id), embeddings.contents, .failures.
-- A picture that too many of the videos of its source had by the time it became known stands for having none.
WITH chosen AS (
    SELECT c.source, c.video_id, c.modality, c.content_id,
           count(*) OVER (PARTITION BY c.source, c.modality, c.content_id ORDER BY c.known_at) AS alike,
           count(*) OVER (PARTITION BY c.source, c.modality ORDER BY c.known_at) AS known
    FROM embeddings.contents c SEMI JOIN encoders USING (modality)
    WHERE c.rank = 1 AND c.known_at <= $now
),
failed AS (
    SELECT f.modality, f.content_id
    FROM embeddings.failures f JOIN encoders USING (modality, encoder, revision, precision, preprocessing)
),
states AS (
    SELECT c.source, c.video_id, c.modality, c.content_id,
           CASE WHEN c.content_id = $empty_text THEN 'placeholder'
                WHEN c.modality = 'image' AND c.alike >= $placeholder_videos AND c.alike > $placeholder_share * c.known THEN 'placeholder'
                WHEN e.content_id IS NOT NULL THEN 'encoded'
                WHEN f.content_id IS NOT NULL THEN 'failed'
                ELSE 'pending' END AS state
    FROM chosen c LEFT JOIN encoded e USING (modality, content_id) LEFT JOIN failed f USING (modality, content_id)
)
SELECT source, video_id, md5(string_agg(modality || ' ' || content_id || ' ' || state, ',' ORDER BY modality)) AS version,
       map_from_entries(list((modality, content_id) ORDER BY modality)) AS contents,
       map_from_entries(list((modality, state) ORDER BY modality)) AS states
FROM states GROUP BY source, video_id
