package presence

import (
	"net/netip"
	"time"
)

// ID names a device in topics and in the database: the first MAC that it was
// known by, as twelve lower-case hex digits.
type ID string

// State is home or away, in the words of the state topic.
type State string

// The states. A device that has never been heard (only named by the user) is NotHome.
const (
	Home    State = "home"
	NotHome State = "not_home"
)

// Device is one device as others see it. It is a value: a copy stays as it is.
// The slices are never changed in place.
type Device struct {
	ID        ID
	MAC       MAC   // the one that it goes by: of several the one heard last
	MACs      []MAC // all of them, the ID's first; nil when there is one
	Interface string
	Addr      netip.Addr   // the IPv4 address that it goes by; may be invalid
	IPv6      []netip.Addr // newest first; it is asked at one of these when it has no other

	HostName    string // what it calls itself, else what others call it
	Vendor      string // of the MAC's prefix; empty for a private MAC
	VendorClass string
	ClientID    string
	Fingerprint string

	HostNameSource NameSource // who says HostName; empty: nobody, or not known

	Resembles ID // the device that this may be with another MAC, as merge_suggested said; empty: none

	State     State
	Since     time.Time // when State began
	Why       string    // why State began
	FirstSeen time.Time
	LastSeen  time.Time
	AwayAfter time.Duration // the silence after which it is away, as learned or set

	Untold   bool     // it is a new guest, and waits for the digest
	Tracked  bool     // it has topics and an entity
	Settings          // what counts: the user's, and over them the device file's
	FromFile []string // the names of those that the device file decides
}

// AllMACs returns every MAC of the device, the ID's first. It is not to be changed.
func (d *Device) AllMACs() []MAC {
	if len(d.MACs) == 0 {
		return []MAC{d.MAC}
	}
	return d.MACs
}

// Record is a device as the database keeps it. Its Settings are the user's own,
// without the device file's.
type Record struct {
	Device
	Model Model
	// Ports are all MACs of a device that has several, with what is known of them;
	// what is known of Device.MAC is in Device. nil when there is one.
	Ports []Port
	// MergedInto is the device that this one is part of: it is kept as it was, and
	// is no device of its own. Empty: it is one.
	MergedInto ID
}

// DisplayName is what to call the device: the user's name, else the host name,
// else the vendor or "Private device" with the end of the MAC, so that two of
// a kind can be told apart.
func (d *Device) DisplayName() string {
	switch {
	case d.Name != "":
		return d.Name
	case d.HostName != "":
		return d.HostName
	}
	id := string(d.ID)
	if len(id) == 12 {
		id = id[8:10] + ":" + id[10:12]
	}
	switch {
	case d.MAC.Private():
		return "Private device " + id
	case d.Vendor != "":
		return d.Vendor + " " + id
	}
	return "Device " + id
}

// Address is the one address to show for the device: IPv4 if it has that, else
// the link-local IPv6 address, which does not change from day to day, else the
// newest. It may be invalid.
func (d *Device) Address() netip.Addr {
	if d.Addr.IsValid() || len(d.IPv6) == 0 {
		return d.Addr
	}
	for _, a := range d.IPv6 {
		if a.IsLinkLocalUnicast() {
			return a
		}
	}
	return d.IPv6[0]
}

// Summary is the household in one value.
type Summary struct {
	Home, Known int
	LastNew     *NewFound // nil: none but those of the first run
	Sensing     []Sensing // one per interface, by name
	BaselineAt  time.Time // when the first run's list was made; zero: it is not yet
	Problems    []string  // what keeps Porchlight from working fully, in words; empty: nothing
}

// NewFound is the newest device, for those who missed its event.
type NewFound struct {
	Found
	MAC    MAC       `json:"mac"`
	Vendor string    `json:"vendor,omitempty"`
	Time   time.Time `json:"time"`
}
