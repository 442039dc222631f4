-- Devices of several MACs, and devices that are part of another one.
ALTER TABLE devices ADD COLUMN ports       TEXT NOT NULL DEFAULT ''; -- JSON list of presence.Port; empty: one MAC
ALTER TABLE devices ADD COLUMN merged_into TEXT NOT NULL DEFAULT ''; -- the id of the device that it is part of
ALTER TABLE devices ADD COLUMN resembles   TEXT NOT NULL DEFAULT ''; -- the id that merge_suggested told
ALTER TABLE devices ADD COLUMN set_follow  TEXT NOT NULL DEFAULT ''; -- JSON: presence.Follow
-- Which device stands for a former one now.
CREATE INDEX devices_merged ON devices (merged_into) WHERE merged_into <> '';
CREATE VIEW aliases AS SELECT id AS alias, merged_into AS device FROM devices WHERE merged_into <> '';
-- From here on events.found is, of an event that is about two devices, a JSON
-- object with the id of the other one.
