package presence

import (
	"net/netip"
	"strings"
	"time"
)

// EventType names what happened; the names are the contract's.
type EventType string

// The event types.
const (
	NewDevice       EventType = "new_device"
	Arrived         EventType = "arrived"
	Left            EventType = "left"
	AddressChanged  EventType = "address_changed"
	AddressConflict EventType = "address_conflict"
	MergeSuggested  EventType = "merge_suggested"
	Merged          EventType = "merged"
	Split           EventType = "split"
	SensingLost     EventType = "sensing_lost"
	SensingBack     EventType = "sensing_back"
	Baseline        EventType = "baseline"
	NewGuests       EventType = "new_guests"

	// What is odd about a network; each is told once, see trouble.
	VendorChanged EventType = "vendor_changed"
	ProxyFound    EventType = "proxy_found"
	NetworkScan   EventType = "network_scan"
	SecondDHCP    EventType = "second_dhcp_server"
	SecondRouter  EventType = "second_router"

	// What is new on this machine, the one that Porchlight runs on; see Socket.
	ListenerOpened   EventType = "listener_opened"
	ListenerClosed   EventType = "listener_closed"
	NewProgramOnline EventType = "new_program_online"
)

// EventTypes lists every type, in the order in which they are declared to
// Home Assistant.
func EventTypes() []EventType {
	return []EventType{
		NewDevice, Arrived, Left, AddressChanged, AddressConflict,
		MergeSuggested, Merged, Split, SensingLost, SensingBack, Baseline, NewGuests,
		VendorChanged, ProxyFound, NetworkScan, SecondDHCP, SecondRouter,
		ListenerOpened, ListenerClosed, NewProgramOnline,
	}
}

// Event is one change, as it stands in the event log, on the event topic and
// in the output of the commands: its JSON form is the contract's payload.
type Event struct {
	Type       EventType  `json:"event_type"`
	Seq        int64      `json:"seq"`  // given by the event log; 0 before that
	Time       time.Time  `json:"time"` // UTC
	ID         ID         `json:"id,omitempty"`
	MAC        MAC        `json:"mac,omitzero"`
	Addr       netip.Addr `json:"ip,omitzero"`    // Device.Address: an IPv6 address where there is no other; of a trouble the address that it is about; of a socket see there
	Name       string     `json:"name,omitempty"` // what to call the device: Device.DisplayName
	HostName   string     `json:"host_name,omitempty"`
	Vendor     string     `json:"vendor,omitempty"`
	PrivateMAC bool       `json:"private_mac"`
	Interface  string     `json:"interface,omitempty"` // of sensing events and troubles
	Other      ID         `json:"other_id,omitempty"`  // merge_suggested: the device that it may be; merged: what is part of it now; split: what is no more
	Why        string     `json:"why"`                 // in words that a person understands
	Devices    []Found    `json:"devices,omitempty"`   // of a list: who was found, as many as fit; of a trouble between two: both sides

	*Socket // of events about this machine; nil for all others
}

// An event that lists devices (Baseline, NewGuests) has at most MaxFound of them, and no more than fit into
// maxBaselineText bytes; Why has the full count. Home Assistant stores no more
// than 16 KiB of an entity's attributes and warns about what is longer
// (components/recorder/db_schema.py, MAX_STATE_ATTRS_BYTES).
const (
	MaxFound     = 250
	maxFoundText = 12 << 10
)

// Found is a device in an event that lists several.
type Found struct {
	ID   ID         `json:"id,omitempty"`
	MAC  MAC        `json:"mac,omitzero"` // in troubles only
	Addr netip.Addr `json:"ip,omitzero"`
	Name string     `json:"name"`
}

// text is how many bytes f takes as JSON in Home Assistant's database.
func (f Found) text() int {
	escaped := strings.Count(f.Name, `"`) + strings.Count(f.Name, `\`)
	return len(`{"id":"","ip":"","name":""},`) + len(f.ID) + len(f.Addr.String()) + len(f.Name) + escaped
}

// foundList gathers the devices of an event, as many as fit.
type foundList struct {
	devices []Found
	count   int // of all
	text    int
}

func (l *foundList) add(d *device) {
	l.count++
	f := Found{ID: d.ID, Addr: d.Address(), Name: d.DisplayName()}
	if l.text += f.text(); l.text <= maxFoundText && len(l.devices) < MaxFound {
		l.devices = append(l.devices, f)
	}
}
