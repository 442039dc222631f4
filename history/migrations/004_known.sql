-- The user knows what it is, with or without a name.
ALTER TABLE devices ADD COLUMN set_known INTEGER NOT NULL DEFAULT 0;
