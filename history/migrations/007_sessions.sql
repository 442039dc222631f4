-- What is asked of the past. These rows are written in the transaction of the
-- event or device row that they follow from, and outlive the events.

-- One stay of one device. A device has at most one that goes on.
CREATE TABLE sessions (
  id        INTEGER PRIMARY KEY,
  device    TEXT    NOT NULL,
  mac       TEXT    NOT NULL, -- that it came with
  began     INTEGER NOT NULL,
  ended     INTEGER NOT NULL, -- 0: it goes on
  absent    INTEGER NOT NULL, -- how long it was away before; 0: not known
  why_began TEXT    NOT NULL,
  why_ended TEXT    NOT NULL,
  addresses TEXT    NOT NULL  -- separated by blanks, newest first
) STRICT;
CREATE UNIQUE INDEX sessions_device ON sessions (device, began);
CREATE UNIQUE INDEX sessions_open ON sessions (device) WHERE ended = 0;
CREATE INDEX sessions_ended ON sessions (ended) WHERE ended <> 0;
CREATE INDEX sessions_absent ON sessions (absent) WHERE absent <> 0;

-- When nothing could be known: an interface that did not hear ('blind'), all
-- devices silent together ('outage'), Porchlight not running ('stopped') or its
-- machine asleep ('asleep').
CREATE TABLE gaps (
  id        INTEGER PRIMARY KEY,
  kind      TEXT    NOT NULL,
  interface TEXT    NOT NULL, -- empty: all
  began     INTEGER NOT NULL,
  ended     INTEGER NOT NULL, -- 0: it goes on
  why       TEXT    NOT NULL
) STRICT;
CREATE INDEX gaps_began ON gaps (began);

-- What a device was called, and since when: by events ('shown'), by the user
-- ('set'), by itself or by others ('host_name').
CREATE TABLE names (
  device TEXT    NOT NULL,
  kind   TEXT    NOT NULL,
  since  INTEGER NOT NULL,
  name   TEXT    NOT NULL,
  PRIMARY KEY (device, kind, since)
) STRICT, WITHOUT ROWID;

-- Addresses that DHCP was heard to give, or the device to ask for.
CREATE TABLE leases (
  device     TEXT    NOT NULL,
  ip         TEXT    NOT NULL,
  first_seen INTEGER NOT NULL,
  last_seen  INTEGER NOT NULL,
  said       TEXT    NOT NULL, -- by what, such as "DHCP ACK"
  host_name  TEXT    NOT NULL,
  PRIMARY KEY (device, ip)
) STRICT, WITHOUT ROWID;

-- Events by time, and the rare ones by type.
CREATE INDEX events_time ON events (time);
CREATE INDEX events_rare ON events (type) WHERE type NOT IN ('arrived', 'left');

-- When the last run was alive for sure; 0: not known.
ALTER TABLE log ADD COLUMN alive INTEGER NOT NULL DEFAULT 0;

-- The sessions of the events that are there. A device whose first event is that
-- it left has been home since it was first seen. Devices that are home and have
-- no events come later (009_at_home.sql).
INSERT OR IGNORE INTO sessions (device, mac, began, ended, absent, why_began, why_ended, addresses)
SELECT device, mac, time,
  CASE WHEN next = 'left' THEN max(time, next_time) WHEN next = 'arrived' THEN next_time ELSE 0 END,
  CASE WHEN before = 'left' THEN max(time - before_time, 0) ELSE 0 END,
  why, CASE WHEN next = 'left' THEN next_why ELSE '' END, ip
FROM (
  SELECT device, mac, time, type, why, ip,
    lead(type) OVER story AS next, lead(time) OVER story AS next_time, lead(why) OVER story AS next_why,
    lag(type) OVER story AS before, lag(time) OVER story AS before_time
  FROM events WHERE type IN ('arrived', 'left') WINDOW story AS (PARTITION BY device ORDER BY seq)
) WHERE type = 'arrived' ORDER BY time;
INSERT OR IGNORE INTO sessions (device, mac, began, ended, absent, why_began, why_ended, addresses)
SELECT e.device, e.mac, d.first_seen, e.time, 0, '', e.why, e.ip
FROM (SELECT device, min(seq) AS seq FROM events WHERE type IN ('arrived', 'left') GROUP BY device) AS first
  JOIN events AS e USING (seq) JOIN devices AS d ON d.id = e.device
WHERE e.type = 'left' AND d.first_seen > 0 AND d.first_seen < e.time;
INSERT OR IGNORE INTO names (device, kind, since, name)
SELECT id, 'host_name', first_seen, host_name FROM devices WHERE host_name <> '';
INSERT INTO gaps (kind, interface, began, ended, why)
SELECT 'blind', interface, time, next_time, why FROM (
  SELECT type, interface, time, why, lead(time) OVER (PARTITION BY interface ORDER BY seq) AS next_time
  FROM events WHERE type IN ('sensing_lost', 'sensing_back')
) WHERE type = 'sensing_lost' AND next_time IS NOT NULL;
