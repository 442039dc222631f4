-- More that the user can decide about a device.
ALTER TABLE devices ADD COLUMN set_kind       TEXT    NOT NULL DEFAULT '';
ALTER TABLE devices ADD COLUMN set_icon       TEXT    NOT NULL DEFAULT '';
ALTER TABLE devices ADD COLUMN set_important  INTEGER NOT NULL DEFAULT 0;
ALTER TABLE devices ADD COLUMN set_ignore_arp INTEGER NOT NULL DEFAULT 0; -- answers are no evidence
ALTER TABLE devices ADD COLUMN set_notes      TEXT    NOT NULL DEFAULT '';
