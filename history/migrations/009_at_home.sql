-- Who is home and has no event that it came, as at the baseline, has been home
-- since its row says so.
INSERT OR IGNORE INTO sessions (device, mac, began, ended, absent, why_began, why_ended, addresses)
SELECT id, mac, since, 0, 0, why, '', trim(ip || ' ' || ipv6) FROM devices AS d
WHERE state = 'home' AND since > 0 AND merged_into = ''
  AND NOT EXISTS (SELECT 1 FROM sessions AS s WHERE s.device = d.id AND (s.ended = 0 OR s.ended > d.since));
