package listen

import (
	"strings"

	"porchlight/presence"
)

// titles begin the title of a notification, before the device's name.
var titles = map[presence.EventType]string{
	presence.NewDevice:       "New device",
	presence.Arrived:         "Home",
	presence.Left:            "Away",
	presence.AddressChanged:  "Another address",
	presence.AddressConflict: "Address conflict",
	presence.MergeSuggested:  "The same device?",
	presence.Merged:          "One device now",
	presence.Split:           "Two devices now",
	presence.SensingLost:     "Porchlight hears nothing",
	presence.SensingBack:     "Porchlight hears again",
	presence.Baseline:        "Porchlight has looked around",
	presence.NewGuests:       "New guests",
	presence.VendorChanged:   "Another device at an address",
	presence.ProxyFound:      "Answers for others",
	presence.NetworkScan:     "Network scan",
	presence.SecondDHCP:      "Another DHCP server",
	presence.SecondRouter:    "Another IPv6 router",

	presence.ListenerOpened:   "A port was opened",
	presence.ListenerClosed:   "A port was closed",
	presence.NewProgramOnline: "New program online",
}

// words returns what the notification of an event says. node is empty where it
// need not be told.
func words(node string, e presence.Event) (title, body string) {
	title = titles[e.Type]
	if title == "" { // of a newer Porchlight
		title = "Porchlight, " + strings.ReplaceAll(string(e.Type), "_", " ")
	}
	if who := e.Subject(); who != "" {
		title += ": " + who
	}
	var facts []string
	if e.Type == presence.NewDevice {
		facts = newcomer(e)
	} else if e.Why != "" {
		facts = append(facts, e.Why)
	}
	if node != "" {
		facts = append(facts, "at "+node)
	}
	return title, strings.Join(facts, ", ")
}

// newcomer says what tells a new device from others; why it is new is known.
func newcomer(e presence.Event) (facts []string) {
	if e.Addr.IsValid() {
		facts = append(facts, e.Addr.String())
	}
	switch {
	case e.PrivateMAC:
		facts = append(facts, "private MAC")
	case e.Vendor != "":
		facts = append(facts, e.Vendor)
	default:
		facts = append(facts, "unknown vendor")
	}
	if e.MAC != (presence.MAC{}) {
		facts = append(facts, e.MAC.String())
	}
	return facts
}
