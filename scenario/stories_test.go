package scenario

import (
	"testing"

	"porchlight/presence"
)

const (
	home    = presence.Home
	notHome = presence.NotHome
)

var (
	gateway = person{name: "gateway", mac: presence.MAC{0x00, 0x17, 0x88, 0, 0, 1}, here: true}
	phone   = person{name: "phone", mac: presence.MAC{0x02, 0, 0, 0, 0, 0x10}}
	tablet  = person{name: "tablet", mac: presence.MAC{0x06, 0, 0, 0, 0, 0x11}}
	printer = person{name: "printer", mac: presence.MAC{0x3c, 0x22, 0xfb, 0, 0, 0x12}, static: 2}
	sensor  = person{name: "sensor", mac: presence.MAC{0x0a, 0, 0, 0, 0, 0x14}, ipv6: true}
	camera  = person{name: "camera", mac: presence.MAC{0x24, 0x0a, 0xc4, 0, 0, 0x13}, static: 3}
)

// here is p, joined before the first start.
func here(p person) person {
	p.here = true
	return p
}

func newOne(who string) told  { return told{presence.NewDevice, who, "for the first time"} }
func arrived(who string) told { return told{presence.Arrived, who, ""} }
func left(who string) told    { return told{presence.Left, who, "no answer to "} }

var (
	deaf  = told{event: presence.SensingLost, why: "lan0"}
	hears = told{event: presence.SensingBack, why: "hears again"}
)

// begins is the beginning of every story.
var begins = []step{start, first, available("online")}

var stories = []story{
	{
		name:   "a phone joins by DHCP, leaves without a word, returns",
		people: []person{phone},
		steps: []step{
			unknown("phone"),
			joins("phone"), soon(newOne("phone"), arrived("phone")), are(home, "phone"), shown("phone", "phone"),
			quiet(1.5), are(home, "phone"),
			leaves("phone"), quiet(0.7), are(home, "phone"),
			soon(left("phone")), are(notHome, "phone"), counted(1, 2),
			quiet(0.5),
			joins("phone"), soon(told{presence.Arrived, "phone", "of silence"}),
			are(home, "phone"), shown("phone", "phone"), counted(2, 2),
			quiet(1.2),
		},
	},
	{
		name:   "a device with an address of its own announces itself",
		people: []person{printer},
		steps: []step{
			joins("printer"), soon(newOne("printer"), arrived("printer")), are(home, "printer"), shown("printer", ""),
			announces("printer"), quiet(1.5),
			leaves("printer"), quiet(0.7), soon(left("printer")), are(notHome, "printer"),
		},
	},
	{
		name:   "a sleeper that wakes in time has not left",
		people: []person{here(phone), here(printer)},
		steps: []step{
			sleeps("phone"), sleeps("printer"), quiet(0.6),
			wakes("phone"), wakes("printer"), quiet(1.5), are(home, "phone", "printer"),
			sleeps("phone"), quiet(0.7), soon(left("phone")), are(notHome, "phone"), are(home, "printer"),
			// Who is away is asked now and then.
			wakes("phone"), soon(arrived("phone")), are(home, "phone"),
		},
	},
	{
		name:   "RELEASE is a hint",
		people: []person{here(phone), here(tablet)},
		steps: []step{
			saysBye("phone"), quiet(1.5), are(home, "phone"),
			goesOff("tablet"), quiet(0.7), soon(left("tablet")), are(notHome, "tablet"), are(home, "phone"),
			goesOff("phone"), quiet(0.7), soon(left("phone")), are(notHome, "phone"),
		},
	},
	{
		name:   "renewals, and the server's word alone",
		people: []person{phone, tablet},
		steps: []step{
			isOffered("tablet"), quiet(0.5), unknown("tablet"),
			joins("phone"), soon(newOne("phone"), arrived("phone")),
			renews("phone"), quiet(1.5), are(home, "phone"), shown("phone", "phone"),
			leaves("phone"), soon(left("phone")),
			isOffered("phone"), quiet(0.7), are(notHome, "phone"), unknown("tablet"),
		},
	},
	{
		name:   "the observer is unplugged for longer than anyone may be silent",
		people: []person{here(phone), here(printer)},
		steps: []step{
			unplugged, soon(deaf), leaves("phone"), quiet(1.6), are(home, "phone", "printer"),
			plugged, soon(hears), quiet(0.7), are(home, "phone", "printer"), // everyone has the whole timeout anew
			soon(left("phone")), quiet(0.5), are(home, "printer"),
		},
	},
	{
		name:   "a restart changes nothing",
		people: []person{here(phone), here(printer), here(camera)},
		steps: []step{
			unchanged(
				stop, available("offline"), start, available("online"), quiet(1.2),
				kill, available("offline"), start, available("online"), quiet(1.2),
			),
			are(home, "gateway", "phone", "printer", "camera"),
			stop, leaves("camera"), start, available("online"),
			quiet(0.6), are(home, "camera"), soon(left("camera")), are(notHome, "camera"),
			unchanged(stop, start, available("online"), quiet(1.2)),
		},
	},
	{
		name:   "the broker is killed while people come and go",
		people: []person{here(phone), printer, here(camera)},
		steps: []step{
			brokerBreaks, joins("printer"), leaves("phone"), quiet(2),
			brokerMended, later(newOne("printer"), arrived("printer"), left("phone")),
			available("online"), are(home, "gateway", "printer", "camera"), are(notHome, "phone"),
			unchanged(brokerBreaks, brokerMended, available("online"), quiet(0.5)),
		},
	},
	{
		name:   "who comes and goes while Porchlight is not there",
		people: []person{here(phone), here(camera), printer},
		steps: []step{
			leaves("phone"), soon(left("phone")),
			kill, joins("phone"), joins("printer"), leaves("camera"), start, available("online"),
			together(arrived("phone"), newOne("printer"), arrived("printer")),
			quiet(0.4), are(home, "camera"), soon(left("camera")), counted(3, 4),
		},
	},
	{
		name:   "Porchlight starts again without a cable",
		people: []person{here(phone), here(camera)},
		steps: []step{
			unchanged(stop, unplugged, start, soon(deaf), available("online"), quiet(1.5), plugged, soon(hears)),
			leaves("camera"), quiet(0.7), soon(left("camera")), counted(2, 3),
		},
	},
	{
		name:   "everyone goes out, one is back in time",
		people: []person{here(phone), here(printer), here(camera)},
		steps: []step{
			counted(4, 4),
			leaves("phone"), leaves("printer"), leaves("camera"), quiet(0.5),
			joins("printer"), together(left("phone"), left("camera")), quiet(1.2),
			are(home, "printer"), are(notHome, "phone", "camera"), counted(2, 4),
		},
	},
	{
		name:   "the first run finds many and tells once",
		people: []person{here(phone), here(tablet), here(printer), here(camera)},
		steps: []step{
			are(home, "gateway", "phone", "tablet", "printer", "camera"), quiet(1.5),
			unchanged(stop, start, available("online"), quiet(0.5)),
			leaves("tablet"), soon(left("tablet")), joins("tablet"), soon(arrived("tablet")),
		},
	},
	{
		name:   "a phone goes to another segment and back",
		people: []person{phone, here(printer)},
		cellar: true,
		steps: []step{
			joins("phone"), soon(newOne("phone"), arrived("phone")), quiet(0.5),
			roams("phone"), soon(told{presence.AddressChanged, "phone", "it was 10.77.0."}), quiet(1.5),
			are(home, "phone"), shown("phone", "phone"),
			// That it has the address again that it had there is nothing to tell.
			roams("phone"), quiet(1.5), are(home, "phone"), shown("phone", "phone"),
			roams("phone"), quiet(1.5), are(home, "phone"), shown("phone", "phone"),
			leaves("phone"), quiet(0.7), soon(left("phone")), are(notHome, "phone"), are(home, "printer"),
		},
	},
	{
		name:   "one of two segments cannot be heard",
		people: []person{here(phone), here(tablet), here(printer)},
		cellar: true,
		steps: []step{
			roams("phone"), soon(told{presence.AddressChanged, "phone", ""}), quiet(0.5),
			// Upstairs everything is held, in the cellar nothing is.
			unplugged, soon(deaf), leaves("printer"), leaves("phone"),
			soon(told{presence.Left, "phone", "no answer to "}), quiet(0.7), are(home, "tablet", "printer"),
			// Who is heard in the cellar is there.
			roams("tablet"), quiet(1.5), are(home, "tablet"), shown("tablet", "tablet"),
			plugged, soon(hears), quiet(0.5), soon(left("printer")), are(home, "tablet"),
			cellarLost, soon(told{event: presence.SensingLost, why: "lan1"}), leaves("tablet"), quiet(1.5), are(home, "tablet"),
			cellarBack, soon(told{event: presence.SensingBack, why: "lan1 hears again"}), soon(left("tablet")),
		},
	},
	{
		name:   "a device changes its address, another has two",
		people: []person{here(camera), here(printer)},
		steps: []step{
			alsoUses("printer"), quiet(1.2), shown("printer", ""),
			moves("camera"), soon(told{presence.AddressChanged, "camera", "it was 10.77.0."}), quiet(1.2),
			are(home, "camera", "printer"), leaves("camera"), soon(left("camera")),
		},
	},
	{
		name:   "a proxy answers for every address",
		people: []person{here(phone), here(printer), here(camera), tablet},
		steps: []step{
			counted(4, 4), proxies("camera"), scans,
			soon(told{presence.ProxyFound, "camera", "answers for 9 addresses"}),
			leaves("phone"), quiet(0.7), soon(left("phone")), scans,
			quiet(1.5), are(notHome, "phone"), are(home, "gateway", "printer", "camera"), shown("camera", ""), counted(3, 4),
			unchanged(stop, start, available("online"), scans, quiet(1.2)),
			joins("phone"), soon(arrived("phone")),
			joins("tablet"), soon(newOne("tablet"), arrived("tablet")), counted(5, 5),
			leaves("camera"), soon(left("camera")), are(home, "gateway", "phone", "tablet", "printer"),
		},
	},
	{
		name:   "trouble is told once, and moves nobody",
		people: []person{phone, here(printer), here(camera)},
		steps: []step{
			joins("phone"), soon(newOne("phone"), arrived("phone")),
			isOffered("phone"), quiet(0.3),
			serves("camera", "phone"), soon(told{presence.SecondDHCP, "camera", "gives out addresses by DHCP"}),
			quarrel("printer", "camera"), soon(told{presence.AddressConflict, "printer", "is used by two devices"}),
			asksAll("camera"), soon(told{presence.NetworkScan, "camera", "more than 50 different addresses"}),
			unchanged(
				serves("camera", "phone"), quarrel("printer", "camera"), asksAll("camera"), quiet(1.2),
				stop, start, available("online"), quiet(0.3),
				isOffered("phone"), serves("camera", "phone"), quarrel("printer", "camera"), asksAll("camera"), quiet(1.2),
			),
			are(home, "gateway", "phone", "printer", "camera"), leaves("printer"), soon(left("printer")),
		},
	},
	{
		name:   "a device with IPv6 only comes, leaves without a word, returns",
		people: []person{sensor},
		steps: []step{
			unknown("sensor"),
			joins("sensor"), soon(newOne("sensor"), arrived("sensor")), are(home, "sensor"), shown("sensor", ""),
			quiet(1.5), are(home, "sensor"),
			leaves("sensor"), quiet(0.7), are(home, "sensor"),
			soon(left("sensor")), are(notHome, "sensor"), counted(1, 2),
			joins("sensor"), soon(told{presence.Arrived, "sensor", "of silence"}),
			are(home, "sensor"), shown("sensor", ""), quiet(1.2),
		},
	},
	{
		name:   "a sleeper with IPv6 only",
		people: []person{sensor, here(printer)},
		steps: []step{
			joins("sensor"), soon(newOne("sensor"), arrived("sensor")), quiet(0.5),
			sleeps("sensor"), quiet(0.6), wakes("sensor"), quiet(1.5), are(home, "sensor", "printer"),
			sleeps("sensor"), quiet(0.7), soon(left("sensor")), are(notHome, "sensor"), are(home, "printer"),
			// Who is away is asked now and then.
			wakes("sensor"), soon(arrived("sensor")), are(home, "sensor"),
		},
	},
	{
		name:   "a restart, and a cable that is pulled, while a device has IPv6 only",
		people: []person{sensor, here(printer)},
		steps: []step{
			joins("sensor"), soon(newOne("sensor"), arrived("sensor")), quiet(0.5),
			unchanged(kill, available("offline"), start, available("online"), quiet(1.5)),
			unplugged, soon(deaf), quiet(1.5), plugged, soon(hears), quiet(1.5), are(home, "sensor", "printer"),
			stop, leaves("sensor"), start, available("online"),
			quiet(0.6), are(home, "sensor"), soon(left("sensor")), are(home, "printer"),
		},
	},
}

// played returns the story with what all stories have.
func (s story) played() story {
	s.people = append([]person{gateway}, s.people...)
	s.steps = append(append([]step{}, begins...), s.steps...)
	return s
}

func TestSimulated(t *testing.T) {
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) { simulate(t, s.played()) })
	}
}

func TestReal(t *testing.T) {
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			s := s.played()
			w := raise(t, s)
			(&teller{T: t, world: w, story: s}).tell()
		})
	}
}
