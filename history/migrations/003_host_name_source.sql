-- Who said the host name: presence.NameSource; empty when it is not known.
ALTER TABLE devices ADD COLUMN host_name_source TEXT NOT NULL DEFAULT '';
