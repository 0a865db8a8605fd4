"""Pictures, sound and films as files and arrays: the store of bytes, decoding, fetching. No warehouse here."""
