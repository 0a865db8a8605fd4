-- Versions that training runs register stand beside those that backtests keep, and carry an alias.
ALTER TABLE models.training_sets ADD COLUMN made_by VARCHAR DEFAULT 'backtest';
ALTER TABLE models.training_sets ALTER COLUMN made_by SET NOT NULL;
ALTER TABLE models.training_sets ALTER COLUMN made_by DROP DEFAULT;
ALTER TABLE models.versions ADD COLUMN made_by VARCHAR DEFAULT 'backtest';
ALTER TABLE models.versions ALTER COLUMN made_by SET NOT NULL;
ALTER TABLE models.versions ALTER COLUMN made_by DROP DEFAULT;
ALTER TABLE models.versions ADD COLUMN alias VARCHAR;
ALTER TABLE models.versions ADD COLUMN training_id VARCHAR;
