-- Stored forecasts tell what a view was at their video's anchor.
ALTER TABLE evaluations.predictions ADD COLUMN IF NOT EXISTS view_regime VARCHAR;
