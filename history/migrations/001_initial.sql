-- Times are integer milliseconds since 1970, UTC; 0 means none. Durations are
-- milliseconds. A MAC is twelve lower-case hex digits, like a device's id. Text
-- that is not there is empty.

-- One row: how the last run ended.
CREATE TABLE log (
  id    INTEGER PRIMARY KEY CHECK (id = 1),
  clean INTEGER NOT NULL, -- 1: the last run ended in good order
  seq   INTEGER NOT NULL  -- the last sequence number given, as far as known
) STRICT;
INSERT INTO log VALUES (1, 1, 0);

-- The event log. Events are in order of time as well, but for clocks that were
-- set back, so a span of time can be found by seq.
CREATE TABLE events (
  seq         INTEGER PRIMARY KEY,
  time        INTEGER NOT NULL,
  type        TEXT    NOT NULL,
  device      TEXT    NOT NULL,
  mac         TEXT    NOT NULL,
  ip          TEXT    NOT NULL,
  name        TEXT    NOT NULL,
  host_name   TEXT    NOT NULL,
  vendor      TEXT    NOT NULL,
  private_mac INTEGER NOT NULL,
  interface   TEXT    NOT NULL,
  why         TEXT    NOT NULL,
  found       TEXT    NOT NULL  -- JSON; baseline only
) STRICT;
-- One device's story, in order of seq.
CREATE INDEX events_device ON events (device) WHERE device <> '';

-- Devices are cut in three by how often the parts change, so that the part that
-- changes each minute is one page for a whole house.
CREATE TABLE devices (
  id           TEXT    PRIMARY KEY,
  mac          TEXT    NOT NULL,
  interface    TEXT    NOT NULL,
  ip           TEXT    NOT NULL,
  ipv6         TEXT    NOT NULL, -- separated by blanks, newest first
  host_name    TEXT    NOT NULL,
  vendor       TEXT    NOT NULL,
  vendor_class TEXT    NOT NULL,
  client_id    TEXT    NOT NULL,
  fingerprint  TEXT    NOT NULL,
  state        TEXT    NOT NULL,
  since        INTEGER NOT NULL,
  why          TEXT    NOT NULL,
  first_seen   INTEGER NOT NULL,
  tracked      INTEGER NOT NULL,
  set_name     TEXT    NOT NULL, -- from here on: what the user decided
  set_track    INTEGER,          -- NULL: not decided
  set_groups   TEXT    NOT NULL, -- JSON list of names
  set_away     INTEGER NOT NULL
) STRICT;
CREATE TABLE seen (
  device    TEXT    PRIMARY KEY REFERENCES devices ON DELETE CASCADE,
  last_seen INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE models (
  device     TEXT    PRIMARY KEY REFERENCES devices ON DELETE CASCADE,
  away_after INTEGER NOT NULL,
  model      BLOB    NOT NULL
) STRICT;

-- How far each consumer of the log has got.
CREATE TABLE cursors (
  consumer TEXT    PRIMARY KEY,
  seq      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE meta (
  key   TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
