package history

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"porchlight/presence"
)

// stored is a device as it goes into the database. Unlike a presence.Record it
// shares nothing that changes: the model is bytes.
type stored struct {
	presence.Device
	ports      []presence.Port
	mergedInto presence.ID
	model      []byte
}

// newStored copies r. Times are kept to the millisecond.
func newStored(r *presence.Record) (stored, error) {
	model, err := r.Model.MarshalBinary()
	if err != nil {
		err = fmt.Errorf("model of device %s: %w", r.ID, err)
		model = nil
	}
	return stored{r.Device, r.Ports, r.MergedInto, model}, err
}

// record is the reverse of newStored. With an error, the record has a model
// that has learned nothing.
func (d stored) record() (presence.Record, error) {
	r := presence.Record{Device: d.Device, Ports: d.ports, MergedInto: d.mergedInto}
	if len(d.model) == 0 {
		return r, nil
	}
	if err := r.Model.UnmarshalBinary(d.model); err != nil {
		r.Model = presence.Model{}
		return r, fmt.Errorf("model of device %s: %w", d.ID, err)
	}
	return r, nil
}

// sameRow reports whether a and b differ at most in what changes without
// anything having happened: LastSeen and the learned AwayAfter.
func sameRow(a, b *stored) bool {
	return samePorts(a.ports, b.ports) && a.mergedInto == b.mergedInto && a.Resembles == b.Resembles &&
		a.ID == b.ID && a.MAC == b.MAC && a.Interface == b.Interface && a.Addr == b.Addr &&
		slices.Equal(a.IPv6, b.IPv6) &&
		a.HostName == b.HostName && a.HostNameSource == b.HostNameSource && a.Vendor == b.Vendor && a.VendorClass == b.VendorClass &&
		a.ClientID == b.ClientID && a.Fingerprint == b.Fingerprint &&
		a.State == b.State && a.Since.Equal(b.Since) && a.Why == b.Why &&
		a.FirstSeen.Equal(b.FirstSeen) && a.Tracked == b.Tracked && a.Untold == b.Untold && a.Settings.Equal(&b.Settings)
}

const (
	deviceColumns = `id, mac, interface, ip, ipv6, host_name, host_name_source, vendor, vendor_class, client_id, fingerprint,
		state, since, why, first_seen, tracked, untold, set_name, set_track, set_groups, set_away,
		set_kind, set_icon, set_important, set_ignore_arp, set_notes, set_known, set_nudge,
		ports, merged_into, resembles, set_follow`

	upsertDevice = "INSERT INTO devices (" + deviceColumns + `) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)
		ON CONFLICT (id) DO UPDATE SET mac = excluded.mac, interface = excluded.interface, ip = excluded.ip,
		ipv6 = excluded.ipv6, host_name = excluded.host_name,
		host_name_source = excluded.host_name_source, vendor = excluded.vendor,
		vendor_class = excluded.vendor_class, client_id = excluded.client_id, fingerprint = excluded.fingerprint,
		state = excluded.state, since = excluded.since, why = excluded.why, first_seen = excluded.first_seen,
		tracked = excluded.tracked, untold = excluded.untold, set_name = excluded.set_name, set_track = excluded.set_track,
		set_groups = excluded.set_groups, set_away = excluded.set_away, set_kind = excluded.set_kind,
		set_icon = excluded.set_icon, set_important = excluded.set_important,
		set_ignore_arp = excluded.set_ignore_arp, set_notes = excluded.set_notes, set_known = excluded.set_known,
		set_nudge = excluded.set_nudge, ports = excluded.ports, merged_into = excluded.merged_into,
		resembles = excluded.resembles, set_follow = excluded.set_follow`

	upsertSeen = `INSERT INTO seen (device, last_seen) VALUES (?,?)
		ON CONFLICT (device) DO UPDATE SET last_seen = excluded.last_seen`

	upsertModel = `INSERT INTO models (device, away_after, model) VALUES (?,?,?)
		ON CONFLICT (device) DO UPDATE SET away_after = excluded.away_after, model = excluded.model`

	deleteDevice = "DELETE FROM devices WHERE id = ?"
)

func (d *stored) rowArgs() ([]any, error) {
	groups := ""
	if d.Groups != nil {
		b, err := json.Marshal(d.Groups)
		if err != nil {
			return nil, fmt.Errorf("groups of device %s: %w", d.ID, err)
		}
		groups = string(b)
	}
	identity, err := d.identityArgs()
	return append([]any{
		string(d.ID), fromMAC(d.MAC), d.Interface, fromAddr(d.Addr), fromAddrs(d.IPv6), d.HostName, string(d.HostNameSource), d.Vendor,
		d.VendorClass, d.ClientID, d.Fingerprint, string(d.State), fromTime(d.Since), d.Why,
		fromTime(d.FirstSeen), d.Tracked, d.Untold, d.Name, d.Track, groups, d.Settings.AwayAfter.Milliseconds(),
		string(d.Kind), d.Icon, d.Important, d.IgnoreARPReplies, d.Notes, d.Known, d.Nudge,
	}, identity...), err
}

// addedColumns are the device columns that migrations added, each with what
// stands for it in a file that is not migrated: the DEFAULT of its migration.
var addedColumns = map[string]string{
	"set_kind": "''", "set_icon": "''", "set_important": "0", "set_ignore_arp": "0", "set_notes": "''",
	"host_name_source": "''", "set_known": "0", "ports": "''", "merged_into": "''", "resembles": "''", "set_follow": "''",
	"untold": "0", "set_nudge": "NULL",
}

// readableColumns returns deviceColumns for a file of any version, with values
// in place of the columns that it has not got. A file that cannot be written
// cannot be migrated either, and is read as it is.
func readableColumns(ctx context.Context, q querier) (string, error) {
	there := make(map[string]bool)
	err := eachRow(ctx, q, "reading the columns of devices", func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		there[name] = true
		return err
	}, "SELECT name FROM pragma_table_info('devices')")
	columns := strings.Split(deviceColumns, ",")
	for i, column := range columns {
		name := strings.TrimSpace(column)
		if value, added := addedColumns[name]; added && !there[name] {
			columns[i] = value
		}
	}
	return strings.Join(columns, ", "), err
}

// loadDevices returns all devices, by id, from a file of any version. With an
// error come those that could be read.
func loadDevices(ctx context.Context, q querier) (devices []stored, err error) {
	columns, err := readableColumns(ctx, q)
	if err != nil {
		return nil, err
	}
	err = eachRow(ctx, q, "reading devices", func(rows *sql.Rows) error {
		d, err := scanDevice(rows)
		if err != nil {
			return fmt.Errorf("reading a device: %w", err)
		}
		devices = append(devices, d)
		return nil
	}, "SELECT "+columns+`, last_seen, away_after, model FROM devices
		LEFT JOIN seen ON seen.device = id LEFT JOIN models ON models.device = id ORDER BY id`)
	return devices, err
}

func scanDevice(rows *sql.Rows) (d stored, err error) {
	var mac, ip, ipv6, groups, ports, follow string
	var since, first, setAway int64
	var last, away sql.NullInt64
	var track, nudge sql.NullBool
	err = rows.Scan(&d.ID, &mac, &d.Interface, &ip, &ipv6, &d.HostName, &d.HostNameSource, &d.Vendor, &d.VendorClass, &d.ClientID,
		&d.Fingerprint, &d.State, &since, &d.Why, &first, &d.Tracked, &d.Untold, &d.Name, &track, &groups, &setAway,
		&d.Kind, &d.Icon, &d.Important, &d.IgnoreARPReplies, &d.Notes, &d.Known, &nudge,
		&ports, &d.mergedInto, &d.Resembles, &follow, &last, &away, &d.model)
	if err != nil {
		return d, err
	}
	d.MAC, d.Addr, d.IPv6 = toMAC(mac), toAddr(ip), toAddrs(ipv6)
	d.Since, d.FirstSeen, d.LastSeen = toTime(since), toTime(first), toTime(last.Int64)
	d.Device.AwayAfter = time.Duration(away.Int64) * time.Millisecond
	d.Settings.AwayAfter = time.Duration(setAway) * time.Millisecond
	if track.Valid {
		d.Track = &track.Bool
	}
	if nudge.Valid {
		d.Nudge = &nudge.Bool
	}
	d.setIdentity(ports, follow)
	if groups != "" {
		_ = json.Unmarshal([]byte(groups), &d.Groups) // the rest of the device still counts
	}
	return d, nil
}
