-- What the world writes, as SQL macros: each takes text and gives a typed value, or null where it cannot.
-- An adapter names them without the prefix: `vid_nview | count`. Where there is a cheap_<name>, every row is tried with
-- it, and parse_<name>, which may be slow, sees each distinct text that is left only once.

-- Text that stands for "no value"; such a value is missing, not bad. A list, since DuckDB makes a join over all rows of a
-- longer IN, also where a CASE asks it of a few.
CREATE OR REPLACE MACRO is_missing(x) AS
    x IS NULL OR list_contains(['', 'null', 'none', 'nan', 'nat', 'na', 'n/a', '\n'], lower(trim(x)));

CREATE OR REPLACE MACRO parse_text(x) AS nullif(x, '');

-- Identifiers ------------------------------------------------------------------------------------------------------
-- A spreadsheet turns a long number into 7.50E+18 and a leading dash into #NAME?: neither can be undone.
CREATE OR REPLACE MACRO is_destroyed_id(x) AS regexp_full_match(trim(x), '[0-9]+([.,][0-9]+)?[eE][+]?[0-9]+');
-- A studio's export begins or ends with the sum of all videos, where the id should be.
CREATE OR REPLACE MACRO is_total(x) AS
    list_contains(['total', 'totals', 'totale', 'totaal', 'gesamt', 'toplam', 'razem', 'итого', 'всего', 'tổng', 'الإجمالي',
        '合計', '总计', '總計', '합계'], lower(trim(x)));
CREATE OR REPLACE MACRO parse_id(x) AS
    CASE WHEN regexp_full_match(x, '[A-Za-z_-][A-Za-z0-9_-]{0,199}|[0-9]{1,40}')
              AND (length(x) > 6 OR NOT (is_missing(x) OR is_total(x))) THEN x
         WHEN is_missing(x) OR is_destroyed_id(x) OR is_total(x) OR x LIKE '#%' OR length(x) > 200 OR contains(x, '://') THEN NULL
         ELSE trim(x) END;
CREATE OR REPLACE MACRO parse_youtube_id(x) AS CASE WHEN regexp_full_match(x, '[A-Za-z0-9_-]{11}') THEN x END;
CREATE OR REPLACE MACRO parse_youtube_url(x) AS
    nullif(regexp_extract(x, '(?:[?&]v=|youtu\.be/|/shorts/|/embed/|/live/|/v/)([A-Za-z0-9_-]{11})(?:[^A-Za-z0-9_-]|$)', 1), '');
CREATE OR REPLACE MACRO parse_tiktok_id(x) AS CASE WHEN regexp_full_match(x, '[0-9]{15,20}') THEN x END;
CREATE OR REPLACE MACRO parse_tiktok_url(x) AS nullif(regexp_extract(x, '/(?:video|photo|v)/([0-9]{15,20})', 1), '');
CREATE OR REPLACE MACRO parse_any_id(x) AS coalesce(parse_youtube_url(x), parse_tiktok_url(x), parse_id(x));

-- Numbers ----------------------------------------------------------------------------------------------------------
-- A count is whole: 541.2 is half of a broken "541.2K". Float noise (514200.00000000006) is not a fraction, but 12.000 may
-- be twelve or twelve thousand.
CREATE OR REPLACE MACRO is_whole(d) AS d >= 0 AND d < 1e15 AND abs(d - round(d)) < 1e-6;
CREATE OR REPLACE MACRO whole_count(d) AS
    CASE WHEN is_whole(d) THEN CAST(round(d) AS BIGINT) END;
CREATE OR REPLACE MACRO written_digits(x) AS
    CASE WHEN regexp_full_match(x, '[0-9]{1,3}(,[0-9]{3})+([.][0-9]+)?|[0-9]{1,2}(,[0-9]{2})+,[0-9]{3}') THEN replace(x, ',', '')
         WHEN regexp_full_match(x, '[0-9]{1,3}([.][0-9]{3}){2,}') THEN replace(x, '.', '')
         WHEN regexp_full_match(x, '[0-9]{1,3}([ \x{00A0}\x{202F}][0-9]{3})+') THEN regexp_replace(x, '[^0-9]', '', 'g')
         WHEN regexp_full_match(x, '[0-9]+,[0-9]{1,2}') THEN replace(x, ',', '.')
         ELSE x END;
-- "541.2K", "1,2 Tr", "1,234 views": digits, a scale, a word. A scale that means different numbers in different languages
-- ("mil", "T") is none. list_transform([x], f)[1] is f(x) with x computed once: a macro that
-- names its argument twice computes it twice.
CREATE OR REPLACE MACRO scaled_count(part) AS
    whole_count(round(try_cast(written_digits(part.digits) AS DOUBLE)
        * CASE WHEN part.scale = '' THEN 1
               WHEN list_contains(['k', 'n', 'tsd', 'тыс', '천'], part.scale) THEN 1e3
               WHEN list_contains(['万', '萬', '만'], part.scale) THEN 1e4
               WHEN list_contains(['m', 'tr', 'mio', 'mln', 'млн'], part.scale) THEN 1e6
               WHEN list_contains(['億', '亿', '억'], part.scale) THEN 1e8
               WHEN list_contains(['b', 'tỷ', 'mrd'], part.scale) THEN 1e9 END,
        CASE WHEN part.scale = '' THEN 6 ELSE 0 END));
CREATE OR REPLACE MACRO written_count(x) AS
    list_transform(
        [regexp_extract(lower(trim(x)),
            '^([0-9][0-9., \x{00A0}\x{202F}]*?)\s*(?:(k|mio|mln|mrd|m|b|n|tr|tỷ|tsd|тыс|млн|[천万萬만億亿억])[.]?)?\s*(views?|likes?|comments?|shares?|saves?|videos?|subscribers?|followers?|plays?)?$',
            ['digits', 'scale', 'word'])],
        lambda part: CASE WHEN regexp_full_match(lower(trim(x)), 'no (views|likes|comments)') THEN 0 ELSE scaled_count(part) END)[1];
CREATE OR REPLACE MACRO cheap_count(x) AS
    CASE WHEN is_whole(try_cast(x AS DOUBLE)) AND NOT ends_with(x, '.000') THEN CAST(round(try_cast(x AS DOUBLE)) AS BIGINT) END;
CREATE OR REPLACE MACRO is_either_count(x) AS regexp_full_match(trim(x), '[1-9][0-9]{0,2}[.]000');
CREATE OR REPLACE MACRO parse_count(x) AS
    CASE WHEN try_cast(x AS DOUBLE) IS NULL THEN written_count(x)
         WHEN NOT is_either_count(x) THEN whole_count(try_cast(x AS DOUBLE)) END;
-- Where a scraper writes 0 for "not found" and a true 0 cannot be.
CREATE OR REPLACE MACRO cheap_positive_count(x) AS nullif(cheap_count(x), 0);
CREATE OR REPLACE MACRO parse_positive_count(x) AS nullif(parse_count(x), 0);
CREATE OR REPLACE MACRO finite(d) AS CASE WHEN isfinite(d) THEN d END;
CREATE OR REPLACE MACRO cheap_number(x) AS finite(try_cast(x AS DOUBLE));
CREATE OR REPLACE MACRO parse_number(x) AS
    coalesce(finite(try_cast(rtrim(trim(x), '% ') AS DOUBLE)), CAST(written_count(x) AS DOUBLE));
CREATE OR REPLACE MACRO parse_bool(x) AS
    CASE WHEN list_contains(['true', '1', 'yes', 't', 'y', '1.0'], lower(x)) THEN TRUE
         WHEN list_contains(['false', '0', 'no', 'f', 'n', '0.0'], lower(x)) THEN FALSE END;
CREATE OR REPLACE MACRO cheap_bool(x) AS parse_bool(x);
-- A link that says what it leads to; one to a watch page leads there for a short too.
CREATE OR REPLACE MACRO parse_shorts_link(x) AS CASE WHEN contains(x, '/shorts/') THEN TRUE END;
CREATE OR REPLACE MACRO parse_media_type(x) AS
    CASE WHEN lower(x) = 'short' THEN TRUE WHEN lower(x) IN ('video', 'livestream') THEN FALSE END;

-- Times (naive UTC; a stated offset is applied) ---------------------------------------------------------------------
CREATE OR REPLACE MACRO epoch_time(d) AS
    CASE WHEN d BETWEEN 1e8 AND 1e10 THEN make_timestamp(CAST(d * 1e6 AS BIGINT))
         WHEN d BETWEEN 1e11 AND 1e13 THEN make_timestamp(CAST(d * 1e3 AS BIGINT)) END;
-- A plain cast to TIMESTAMP drops a stated offset, and reads no name of a zone; the session is in UTC, so text without
-- one is UTC. Names are cast apart, since DuckDB takes a zone that one row names for that of the rows after it.
CREATE OR REPLACE MACRO instant(x) AS make_timestamp(epoch_us(try_cast(x AS TIMESTAMPTZ)));
-- What is no longer than 2025-05-19T00:12:43Z has no room for a name but one that ends as EST does.
CREATE OR REPLACE MACRO utc_time(x) AS
    CASE WHEN length(x) <= 20 AND NOT ends_with(x, 'T') THEN instant(x)
         WHEN try_cast(x AS TIMESTAMP) IS NOT NULL THEN instant(x) END;
CREATE OR REPLACE MACRO zoned_time(x) AS CASE WHEN try_cast(x AS TIMESTAMP) IS NULL THEN instant(x) END;
CREATE OR REPLACE MACRO cheap_time(x) AS utc_time(x);
CREATE OR REPLACE MACRO parse_time(x) AS
    coalesce(
        utc_time(x),
        zoned_time(x),
        CASE WHEN regexp_full_match(x, '[0-9]{8}') THEN try_strptime(x, '%Y%m%d') END,
        epoch_time(try_cast(x AS DOUBLE)),
        try_strptime(trim(x), ['%Y%m%dT%H%M%SZ', '%Y%m%dT%H%M%S', '%Y-%m-%dT%H-%M-%SZ', '%a, %d %b %Y %H:%M:%S GMT',
            '%d %b %Y', '%d %b %Y %H:%M:%S', '%b %d, %Y', '%B %d, %Y', '%Y-%m-%d %H:%M UTC', '%Y-%m-%d %H:%M:%S UTC']));
-- Month first, as American spreadsheets write it; two orders cannot be told apart, so an adapter has to say so.
CREATE OR REPLACE MACRO cheap_us_time(x) AS utc_time(x);
CREATE OR REPLACE MACRO parse_us_time(x) AS
    coalesce(try_strptime(x, ['%m/%d/%Y %H:%M', '%m/%d/%Y %H:%M:%S', '%m/%d/%Y']), parse_time(x));
-- A bare day stands for its last second: what it says was not known before.
CREATE OR REPLACE MACRO cheap_moment(x) AS
    utc_time(x) + CASE WHEN length(x) <= 10 THEN INTERVAL 86399 SECOND ELSE INTERVAL 0 SECOND END;
CREATE OR REPLACE MACRO parse_moment(x) AS
    parse_time(x) + CASE WHEN regexp_full_match(trim(x), '[0-9]{8}|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}|[A-Za-z]+ [0-9]{1,2}, [0-9]{4}|[0-9]{1,2} [A-Za-z]+ [0-9]{4}')
        THEN INTERVAL 86399 SECOND ELSE INTERVAL 0 SECOND END;
CREATE OR REPLACE MACRO cheap_kaggle_day(x) AS NULL::TIMESTAMP;
CREATE OR REPLACE MACRO parse_kaggle_day(x) AS try_strptime(x, '%y.%d.%m') + INTERVAL 86399 SECOND;
-- "3 days ago", seen at `seen`: as coarse as its unit.
CREATE OR REPLACE MACRO parse_ago(x, seen) AS
    seen - try_cast(regexp_extract(lower(x), '([0-9]+)\s*(second|minute|hour|day|week|month|year)s?\s+ago', 1) AS INTEGER)
        * CASE regexp_extract(lower(x), '([0-9]+)\s*(second|minute|hour|day|week|month|year)s?\s+ago', 2)
            WHEN 'second' THEN INTERVAL 1 SECOND WHEN 'minute' THEN INTERVAL 1 MINUTE WHEN 'hour' THEN INTERVAL 1 HOUR
            WHEN 'day' THEN INTERVAL 1 DAY WHEN 'week' THEN INTERVAL 7 DAY WHEN 'month' THEN INTERVAL 30 DAY
            WHEN 'year' THEN INTERVAL 365 DAY END;
-- A TikTok id carries its publish second (UTC) in the upper 32 bits.
CREATE OR REPLACE MACRO tiktok_second(id, seen) AS
    CASE WHEN try_cast(id AS UBIGINT) >> 32 BETWEEN 1400000000 AND epoch(seen) + 86400
         THEN make_timestamp(CAST(try_cast(id AS UBIGINT) >> 32 AS BIGINT) * 1000000) END;

-- Durations (seconds; -1 and labels such as SHORTS say that there is none) ------------------------------------------
CREATE OR REPLACE MACRO is_no_duration(x) AS is_missing(x) OR list_contains(['-1', '-1.0', 'SHORTS', 'LIVE', 'UPCOMING', '--:--'], upper(trim(x)));
CREATE OR REPLACE MACRO number_of(digits) AS coalesce(try_cast(digits AS DOUBLE), 0);
CREATE OR REPLACE MACRO seconds_of(part) AS
    number_of(part.d) * 86400 + number_of(part.h) * 3600 + number_of(part.m) * 60 + number_of(part.s);
CREATE OR REPLACE MACRO written_duration(x) AS
    list_transform(
        [CASE WHEN contains(x, ':')
            THEN regexp_extract(x, '^(?:[0-9:]+\s*/\s*)?()(?:([0-9]{1,2}):)?([0-9]{1,3}):([0-5]?[0-9])$', ['d', 'h', 'm', 's'])
            ELSE regexp_extract(upper(x), '^(?:P(?:([0-9]+)D)?T?)?(?:([0-9]+)H)?(?:([0-9]+)M)?(?:([0-9]+(?:[.][0-9]+)?)S)?$',
                ['d', 'h', 'm', 's']) END],
        lambda part: CASE WHEN concat(part.d, part.h, part.m, part.s) <> '' THEN seconds_of(part) END)[1];
CREATE OR REPLACE MACRO sane_duration(d) AS list_filter([d], lambda seconds: seconds BETWEEN 0 AND 86400)[1];
CREATE OR REPLACE MACRO cheap_duration(x) AS
    CASE WHEN try_cast(x AS DOUBLE) BETWEEN 0 AND 86400 THEN try_cast(x AS DOUBLE) END;
CREATE OR REPLACE MACRO parse_duration(x) AS
    CASE WHEN NOT is_no_duration(x) THEN coalesce(cheap_duration(x), sane_duration(written_duration(trim(x)))) END;

-- Lists and labels -------------------------------------------------------------------------------------------------
CREATE OR REPLACE MACRO quoted_items(x) AS
    list_transform(regexp_extract_all(x, '"(?:[^"\\]|\\.)*"|''(?:[^''\\]|\\.)*'''), lambda item: item[2:-2]);
CREATE OR REPLACE MACRO split_items(x, separator) AS
    list_filter(list_transform(string_split(x, separator), lambda item: trim(trim(item), '"#')), lambda item: item <> '');
CREATE OR REPLACE MACRO cheap_tags(x) AS NULL::VARCHAR[];
CREATE OR REPLACE MACRO parse_tags(x) AS
    CASE WHEN is_missing(x) OR trim(x) IN ('[none]', '[]') THEN NULL
         WHEN starts_with(trim(x), '[') THEN coalesce(try_cast(try_cast(x AS JSON) AS VARCHAR[]), quoted_items(x))
         WHEN contains(x, '|') THEN split_items(x, '|')
         ELSE split_items(x, ',') END;
CREATE OR REPLACE MACRO parse_thumbnail(x) AS
    CASE WHEN starts_with(x, 'http') THEN x
         ELSE nullif(regexp_extract(x, '[''"]url[''"]\s*:\s*[''"]([^''"]+)', 1), '') END;
-- Whether a video can be seen, in the words of YouTube (privacyStatus, uploadStatus, ytRating), yt-dlp (availability) and
-- of Upswell's collectors. What only members, buyers or those who log in can see is unavailable, for whatever reason.
CREATE OR REPLACE MACRO parse_status(x) AS
    CASE replace(replace(lower(trim(x)), ' ', '_'), '-', '_')
        WHEN 'live' THEN 'live' WHEN 'public' THEN 'live' WHEN 'unlisted' THEN 'live' WHEN 'available' THEN 'live'
        WHEN 'processed' THEN 'live' WHEN 'uploaded' THEN 'live'
        WHEN 'private' THEN 'private' WHEN 'removed' THEN 'removed' WHEN 'deleted' THEN 'removed'
        WHEN 'rejected' THEN 'removed' WHEN 'terminated' THEN 'removed' WHEN 'not_found' THEN 'removed'
        WHEN 'age_restricted' THEN 'age_restricted' WHEN 'ytagerestricted' THEN 'age_restricted'
        WHEN 'region_blocked' THEN 'region_blocked' WHEN 'geo_restricted' THEN 'region_blocked'
        WHEN 'unavailable' THEN 'unavailable' WHEN 'failed' THEN 'unavailable' WHEN 'needs_auth' THEN 'unavailable'
        WHEN 'login_required' THEN 'unavailable' WHEN 'premium_only' THEN 'unavailable'
        WHEN 'subscriber_only' THEN 'unavailable' WHEN 'members_only' THEN 'unavailable' END;
CREATE OR REPLACE MACRO cheap_status(x) AS parse_status(x);
-- Labels of GoEmotions: their numbers as the files have them ("4,27"), or as a list ("[4, 27]"), by their names; a number of no
-- label is no label.
CREATE OR REPLACE MACRO goemotions() AS
    ['admiration', 'amusement', 'anger', 'annoyance', 'approval', 'caring', 'confusion', 'curiosity', 'desire',
     'disappointment', 'disapproval', 'disgust', 'embarrassment', 'excitement', 'fear', 'gratitude', 'grief', 'joy', 'love',
     'nervousness', 'optimism', 'pride', 'realization', 'relief', 'remorse', 'sadness', 'surprise', 'neutral'];
CREATE OR REPLACE MACRO named_emotions(numbers) AS
    CASE WHEN list_max(numbers) < len(goemotions()) THEN list_transform(numbers, lambda number: goemotions()[number + 1]) END;
CREATE OR REPLACE MACRO cheap_goemotions(x) AS NULL::VARCHAR[];
CREATE OR REPLACE MACRO parse_goemotions(x) AS
    CASE WHEN regexp_full_match(trim(x, '[] '), '[0-9]{1,4}([, ]+[0-9]{1,4})*')
         THEN named_emotions(regexp_extract_all(x, '[0-9]+')::INTEGER[]) END;
-- Captions: written by somebody, or by a machine.
CREATE OR REPLACE MACRO parse_caption_kind(x) AS
    CASE WHEN list_contains(['manual', 'standard', 'forced', 'subtitles'], lower(x)) THEN 'manual'
         WHEN list_contains(['automatic', 'asr', 'automatic_captions'], lower(x)) THEN 'automatic' END;
-- Of several places that tell a state, those that say more than that it is live come first.
CREATE OR REPLACE MACRO parse_not_live(x) AS nullif(parse_status(x), 'live');
-- Whatever only a video that can be seen has, such as its page.
CREATE OR REPLACE MACRO parse_live(x) AS CASE WHEN NOT is_missing(x) THEN 'live' END;
-- YouTube's regionRestriction: blocked everywhere. A video that only some countries cannot see is live.
CREATE OR REPLACE MACRO parse_region(x) AS
    CASE WHEN json_array_length(try_cast(x AS JSON), '$.allowed') = 0
           OR json_array_length(try_cast(x AS JSON), '$.blocked') >= 249 THEN 'region_blocked' END;
