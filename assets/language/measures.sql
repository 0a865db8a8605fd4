-- language.measures for some videos: what words tell of each as of each cutoff.
-- Reads: moments (source, video_id, cutoff, as_of; of the videos asked for), content (their first-known titles and lengths),
-- texts (language.texts of them), emotions (of these texts), models (revision, usable_at), inputs.
-- The title is the one that is being forecast, as features.content has it. Sums are of whole millionths, so that no order of
-- rows changes a bit.
WITH judged AS (
    SELECT m.*, (SELECT arg_max(o.revision, (o.usable_at, o.revision)) FROM models o WHERE o.usable_at <= m.as_of) AS revision
    FROM moments m
),
latest AS (
    SELECT j.source, j.video_id, j.cutoff, j.revision, t.item_id, t.text_id, t.state
    FROM judged j JOIN texts t USING (source, video_id)
    WHERE t.part = 'comment' AND t.known_at <= j.as_of AND j.cutoff NOT IN ('pre', '0h')
    QUALIFY row_number() OVER (PARTITION BY j.source, j.video_id, j.cutoff, t.item_id
                               ORDER BY t.known_at DESC, t.written_at DESC, t.text_id) = 1
),
comments AS (
    SELECT l.source, l.video_id, l.cutoff, count(*)::DOUBLE AS emotion_comments,
           exact_mean(e.ekman[1]) AS emotion_comments_anger,
           exact_mean(e.ekman[2]) AS emotion_comments_disgust,
           exact_mean(e.ekman[3]) AS emotion_comments_fear,
           exact_mean(e.ekman[4]) AS emotion_comments_joy,
           exact_mean(e.ekman[5]) AS emotion_comments_sadness,
           exact_mean(e.ekman[6]) AS emotion_comments_surprise,
           exact_mean(e.neutral) AS emotion_comments_neutral,
           exact_mean(e.sentiment[1]) AS emotion_comments_positive,
           exact_mean(e.sentiment[2]) AS emotion_comments_negative,
           exact_mean(e.sentiment[3]) AS emotion_comments_ambiguous,
           exact_spread(e.sentiment[1] - e.sentiment[2]) AS emotion_comments_spread
    FROM latest l LEFT JOIN emotions e ON e.text_id = l.text_id AND e.revision = l.revision
    WHERE l.state = 'valid' GROUP BY ALL
),
spoken AS (
    SELECT j.source, j.video_id, j.cutoff, t.text_id, t.length
    FROM judged j JOIN texts t USING (source, video_id)
    WHERE t.part = 'transcript' AND t.state = 'valid' AND t.known_at <= j.as_of
    QUALIFY row_number() OVER (PARTITION BY j.source, j.video_id, j.cutoff
                               ORDER BY ends_with(t.item_id, ' manual') DESC, t.item_id = 'speech', t.known_at, t.item_id, t.text_id) = 1
)
SELECT j.source, j.video_id, j.cutoff, j.as_of, j.revision,
           te.ekman[1]::DOUBLE AS emotion_title_anger,
           te.ekman[2]::DOUBLE AS emotion_title_disgust,
           te.ekman[3]::DOUBLE AS emotion_title_fear,
           te.ekman[4]::DOUBLE AS emotion_title_joy,
           te.ekman[5]::DOUBLE AS emotion_title_sadness,
           te.ekman[6]::DOUBLE AS emotion_title_surprise,
           te.neutral::DOUBLE AS emotion_title_neutral,
           te.sentiment[1]::DOUBLE AS emotion_title_positive,
           te.sentiment[2]::DOUBLE AS emotion_title_negative,
           te.sentiment[3]::DOUBLE AS emotion_title_ambiguous,
       c.emotion_comments,
           c.emotion_comments_anger,
           c.emotion_comments_disgust,
           c.emotion_comments_fear,
           c.emotion_comments_joy,
           c.emotion_comments_sadness,
           c.emotion_comments_surprise,
           c.emotion_comments_neutral,
           c.emotion_comments_positive,
           c.emotion_comments_negative,
           c.emotion_comments_ambiguous,
       s.length::DOUBLE AS speech_length, s.length / nullif(v.duration_s, 0) AS speech_rate,
           se.ekman[1]::DOUBLE AS speech_anger,
           se.ekman[2]::DOUBLE AS speech_disgust,
           se.ekman[3]::DOUBLE AS speech_fear,
           se.ekman[4]::DOUBLE AS speech_joy,
           se.ekman[5]::DOUBLE AS speech_sadness,
           se.ekman[6]::DOUBLE AS speech_surprise,
           se.neutral::DOUBLE AS speech_neutral,
           se.sentiment[1]::DOUBLE AS speech_positive,
           se.sentiment[2]::DOUBLE AS speech_negative,
           se.sentiment[3]::DOUBLE AS speech_ambiguous,
       c.emotion_comments_spread, i.inputs
FROM judged j
JOIN inputs i USING (source, video_id)
LEFT JOIN content v USING (source, video_id)
LEFT JOIN emotions te ON te.text_id = v.title_id AND te.revision = j.revision
LEFT JOIN comments c ON c.source = j.source AND c.video_id = j.video_id AND c.cutoff = j.cutoff
LEFT JOIN spoken s ON s.source = j.source AND s.video_id = j.video_id AND s.cutoff = j.cutoff
LEFT JOIN emotions se ON se.text_id = s.text_id AND se.revision = j.revision
