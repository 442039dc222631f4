package discovery

import "porchlight/presence"

// icons are those of the kinds of devices, from Material Design Icons.
var icons = map[presence.DeviceKind]string{
	presence.Phone:      "mdi:cellphone",
	presence.Tablet:     "mdi:tablet",
	presence.Watch:      "mdi:watch",
	presence.Laptop:     "mdi:laptop",
	presence.Computer:   "mdi:desktop-tower-monitor",
	presence.Server:     "mdi:server",
	presence.Television: "mdi:television",
	presence.Speaker:    "mdi:speaker",
	presence.Console:    "mdi:gamepad-variant",
	presence.Camera:     "mdi:cctv",
	presence.Printer:    "mdi:printer",
	presence.Appliance:  "mdi:washing-machine",
	presence.IoT:        "mdi:chip",
	presence.Network:    "mdi:router-wireless",
	presence.Car:        "mdi:car",
	presence.Guest:      "mdi:account-question",
	presence.Other:      "mdi:devices",
}

// Icon returns the icon of a device: the user's, else its kind's; empty: Home
// Assistant's own.
func Icon(d *presence.Device) string {
	if d.Icon != "" {
		return d.Icon
	}
	return icons[d.Kind]
}
