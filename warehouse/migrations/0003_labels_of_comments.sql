-- A label may be one of a comment; those that there are, are of videos.
ALTER TABLE raw.labels ADD COLUMN IF NOT EXISTS comment_id VARCHAR DEFAULT '';
ALTER TABLE raw.labels ALTER COLUMN comment_id SET NOT NULL;
ALTER TABLE raw.labels ALTER COLUMN comment_id DROP DEFAULT;
