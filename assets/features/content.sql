-- features.content for anchors in [$start, $end): the first-known record of each video, and the shape of its text. Where the
-- anchor is the publication, a video without a snapshot is there from its record on.
-- Reads: videos (raw.videos from the start on), seen (per day of observation, when its first snapshot was known), anchors,
-- counted (what a view is: source, shorts, starts, ends, counts).
WITH records AS (
    SELECT v.*, a.anchor = 'published_at' AS published,
           CASE a.anchor WHEN 'published_at' THEN v.published_at ELSE f.first_seen_at END AS anchor_at
    FROM videos v
    JOIN anchors a USING (source)
    LEFT JOIN (SELECT source, video_id, min(usable_at) AS first_seen_at FROM seen GROUP BY ALL) f USING (source, video_id)
),
chosen AS (
    SELECT * FROM records
    WHERE anchor_at IS NOT NULL AND (NOT published OR observed_at >= CAST(anchor_at AS DATE))
    QUALIFY row_number() OVER (PARTITION BY source, video_id ORDER BY usable_at, observed_at) = 1
),
sights AS (
    SELECT s.source, s.video_id, min(s.usable_at) AS first_seen_at
    FROM seen s JOIN chosen c USING (source, video_id)
    WHERE NOT c.published OR s.observed_day >= CAST(c.anchor_at AS DATE)
    GROUP BY ALL
),
first_record AS (
    SELECT c.*, coalesce(s.first_seen_at, c.usable_at) AS first_seen_at
    FROM chosen c LEFT JOIN sights s USING (source, video_id)
),
regimes AS (
    SELECT r.source, r.video_id, CASE WHEN count(DISTINCT k.counts) = 1 THEN any_value(k.counts) ELSE 'unclear' END AS view_regime
    FROM first_record r JOIN counted k ON k.source = r.source AND may_be(k.shorts, r.is_short, r.duration_s)
     AND r.anchor_at >= k.starts AND r.anchor_at < k.ends
    GROUP BY ALL
)
SELECT source, video_id, CAST(anchor_at AS DATE) AS anchor_day, anchor_at, first_seen_at,
       greatest(usable_at, first_seen_at) AS known_at, channel_id, title, left(description, 500) AS description, category,
       CASE
           WHEN title IS NULL OR NOT regexp_matches(title, '\p{L}') THEN NULL
           WHEN regexp_matches(title, '[\p{Hiragana}\p{Katakana}]') THEN 'ja'
           WHEN regexp_matches(title, '\p{Hangul}') THEN 'ko'
           WHEN regexp_matches(title, '\p{Han}') THEN 'zh'
           WHEN regexp_matches(title, '\p{Arabic}') THEN 'ar'
           WHEN regexp_matches(title, '\p{Cyrillic}') THEN 'cyrillic'
           WHEN regexp_matches(title, '\p{Devanagari}') THEN 'hi'
           WHEN regexp_matches(title, '\p{Thai}') THEN 'th'
           WHEN regexp_matches(title, '[ăđơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹĂĐƠƯẠẢẤẦẨẪẬẮẰẲẴẶẸẺẼẾỀỂỄỆỈỊỌỎỐỒỔỖỘỚỜỞỠỢỤỦỨỪỬỮỰỲỴỶỸ]') THEN 'vi'
           WHEN regexp_matches(title, '[¿¡ñÑ]') THEN 'es'
           WHEN regexp_matches(title, '[ãõÃÕ]') THEN 'pt'
           WHEN regexp_matches(title, '[äöüßÄÖÜ]') THEN 'de'
           WHEN regexp_matches(title, '[àâçèéêëîïôùûœÀÂÇÈÉÊËÎÏÔÙÛŒ]') THEN 'fr'
           WHEN regexp_matches(title, '\p{Latin}') THEN 'latin'
           ELSE 'other'
       END AS language_guess,
       view_regime,
       length(title)::INTEGER AS title_length,
       len(regexp_extract_all(title, '\S+'))::INTEGER AS title_words,
       len(regexp_extract_all(title, '\p{Lu}')) / nullif(len(regexp_extract_all(title, '[\p{Lu}\p{Ll}]')), 0)::DOUBLE AS title_upper_share,
       len(regexp_extract_all(title, '!'))::INTEGER AS title_exclamations,
       len(regexp_extract_all(title, '\?'))::INTEGER AS title_questions,
       len(regexp_extract_all(title, '\d'))::INTEGER AS title_digits,
       len(regexp_extract_all(title, '[\x{1F300}-\x{1FAFF}\x{2600}-\x{27BF}\x{2B50}\x{2B55}]'))::INTEGER AS title_emoji,
       len(regexp_extract_all(title, '#[\p{L}\p{N}_]+'))::INTEGER AS title_hashtags,
       len(regexp_extract_all(title, '@[\p{L}\p{N}_.]+'))::INTEGER AS title_mentions,
       (len(regexp_extract_all(title, '[!?]{2,}')) + len(regexp_extract_all(title, '\p{Lu}{4,}'))
        + len(regexp_extract_all(lower(title), 'you won.t believe|shocking|insane|must see|must watch|gone wrong|secret|exposed|wait for it|watch till|watch until|nobody|no one|this is why|the truth|never again|first time|vs\.?\b')))::INTEGER AS title_clickbait,
       length(description)::INTEGER AS description_length,
       len(regexp_extract_all(description, 'https?://'))::INTEGER AS description_links,
       len(regexp_extract_all(description, '#[\p{L}\p{N}_]+'))::INTEGER AS description_hashtags,
       len(tags)::INTEGER AS tags_count,
       duration_s,
       is_short::INTEGER AS is_short,
       hour(anchor_at)::INTEGER AS anchor_hour,
       isodow(anchor_at)::INTEGER AS anchor_weekday,
       (isodow(anchor_at) >= 6)::INTEGER AS anchor_weekend,
       CASE WHEN published_at <= anchor_at AND anchor_at <> published_at
            THEN epoch_us(anchor_at - published_at) / 3.6e9 END AS claimed_age_h
FROM first_record LEFT JOIN regimes USING (source, video_id)
WHERE anchor_at >= $start AND anchor_at < $end
