"""From a landing file to rows in the raw tables: readers, parsers, adapters, quarantine."""
