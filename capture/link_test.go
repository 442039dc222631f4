package capture

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket/layers"
)

// What each link type says is in a frame.
func TestRecordFrame(t *testing.T) {
	ip4, ip6 := "\x45 four", "\x60 six"
	addresses := "\x01\x02\x03\x04\x05\x06\x0a\x0b\x0c\x0d\x0e\x0f"
	sll := func(protocol string) string {
		return "\x00\x04\x00\x01\x00\x06" + "\x01\x02\x03\x04\x05\x06\x00\x00" + protocol
	}
	sll2 := func(protocol string) string {
		return protocol + "\x00\x00\x00\x00\x00\x02\x00\x01\x04\x06" + "\x01\x02\x03\x04\x05\x06\x00\x00"
	}
	type frame struct {
		Interface string
		EtherType uint16
		Payload   string
	}
	for name, test := range map[string]struct {
		link layers.LinkType
		raw  string
		want frame
		err  error
	}{
		"Ethernet":                  {layers.LinkTypeEthernet, addresses + "\x08\x00" + ip4, frame{"x", EtherTypeIPv4, ip4}, nil},
		"Ethernet, a tag":           {layers.LinkTypeEthernet, addresses + "\x81\x00\x00\x0a\x08\x00" + ip4, frame{"x.10", EtherTypeIPv4, ip4}, nil},
		"Ethernet, IEEE 802.3":      {layers.LinkTypeEthernet, addresses + "\x00\x04" + ip4, frame{}, errLength},
		"cooked":                    {layers.LinkTypeLinuxSLL, sll("\x86\xdd") + ip6, frame{"x", EtherTypeIPv6, ip6}, nil},
		"cooked, two tags":          {layers.LinkTypeLinuxSLL, sll("\x88\xa8") + "\x00\x64\x81\x00\x00\x0a\x86\xdd" + ip6, frame{"x.100.10", EtherTypeIPv6, ip6}, nil},
		"cooked, a tag cut off":     {layers.LinkTypeLinuxSLL, sll("\x81\x00") + "\x00\x0a\x08", frame{}, errShort},
		"cooked, IEEE 802.3":        {layers.LinkTypeLinuxSLL, sll("\x00\x01") + ip4, frame{}, errLength},
		"cooked, short":             {layers.LinkTypeLinuxSLL, sll("\x08"), frame{}, errShort},
		"cooked 2":                  {layers.LinkTypeLinuxSLL2, sll2("\x08\x00") + ip4, frame{"x", EtherTypeIPv4, ip4}, nil},
		"cooked 2, a tag":           {layers.LinkTypeLinuxSLL2, sll2("\x81\x00") + "\x00\x0a\x08\x00" + ip4, frame{"x.10", EtherTypeIPv4, ip4}, nil},
		"cooked 2, short":           {layers.LinkTypeLinuxSLL2, sll2("\x08\x00")[:19], frame{}, errShort},
		"loopback, little-endian":   {layers.LinkTypeNull, "\x02\x00\x00\x00" + ip4, frame{"x", EtherTypeIPv4, ip4}, nil},
		"loopback, big-endian":      {layers.LinkTypeNull, "\x00\x00\x00\x1e" + ip6, frame{"x", EtherTypeIPv6, ip6}, nil},
		"loopback of OpenBSD":       {layers.LinkTypeLoop, "\x00\x00\x00\x18" + ip6, frame{"x", EtherTypeIPv6, ip6}, nil},
		"loopback, another family":  {layers.LinkTypeLoop, "\x00\x00\x00\x63" + ip6, frame{}, errLink},
		"loopback, short":           {layers.LinkTypeLoop, "\x00\x00", frame{}, errShort},
		"no header, IPv4":           {layers.LinkTypeRaw, ip4, frame{"x", EtherTypeIPv4, ip4}, nil},
		"no header, IPv6":           {layers.LinkTypeIPv6, ip6, frame{"x", EtherTypeIPv6, ip6}, nil},
		"no header, something else": {linkRawBSD, "\x95", frame{}, errLink},
		"no header, empty":          {linkRawOpenBSD, "", frame{}, errShort},
		"USB":                       {layers.LinkTypeLinuxUSB, ip4, frame{}, errLink},
	} {
		f, err := Record{Interface: "x", Link: test.link, Raw: []byte(test.raw)}.Frame()
		if !errors.Is(err, test.err) {
			t.Errorf("%s: error %v, want %v", name, err, test.err)
		}
		if diff := cmp.Diff(test.want, frame{f.Interface, f.EtherType, string(f.Payload)}); err == nil && diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// Whether a frame was sent to all is known of cooked ones, too.
func TestRecordToAll(t *testing.T) {
	const rest = "\x01\x02\x03\x04\x05\x06\x00\x00"
	for _, test := range []struct {
		link layers.LinkType
		raw  string
		want bool
	}{
		{layers.LinkTypeEthernet, "\xff\xff\xff\xff\xff\xff\x01\x02\x03\x04\x05\x06\x08\x00\x45", true},
		{layers.LinkTypeEthernet, "\xff\xff\xff\xff\xff\xfe\x01\x02\x03\x04\x05\x06\x08\x00\x45", false},
		{layers.LinkTypeLinuxSLL, "\x00\x01\x00\x01\x00\x06" + rest + "\x08\x00\x45", true},
		{layers.LinkTypeLinuxSLL, "\x00\x00\x00\x01\x00\x06" + rest + "\x08\x00\x45", false},
		{layers.LinkTypeLinuxSLL2, "\x08\x00\x00\x00\x00\x00\x00\x02\x00\x01\x01\x06" + rest + "\x45", true},
		{layers.LinkTypeLinuxSLL2, "\x08\x00\x00\x00\x00\x00\x00\x02\x00\x01\x02\x06" + rest + "\x45", false},
	} {
		f, err := Record{Link: test.link, Raw: []byte(test.raw)}.Frame()
		if got := f.Dst == Broadcast; err != nil || got != test.want {
			t.Errorf("%s %q: to all %v, %v; want %v", test.link, test.raw, got, err, test.want)
		}
	}
}

// A file of any links: its records say theirs, and how long they were.
func TestOpenAny(t *testing.T) {
	openAny := func(content []byte) (*File, error) {
		return newFile("test", bytes.NewReader(content), io.NopCloser(nil), false)
	}
	cut := bytesOf(little, seconds, 0, 5, 1500, "short\x00\x00\x00")
	f, err := openAny(append(pcapHeader(little, micro, 276), cut[:16+5]...))
	if err != nil {
		t.Fatal(err)
	}
	if r, err := f.Next(); err != nil || r.Link != layers.LinkTypeLinuxSLL2 || r.Length != 1500 || string(r.Raw) != "short" {
		t.Errorf("%+v, %v", r, err)
	}
	if n := f.BytesRead(); n != 24+16+5 {
		t.Errorf("read %d bytes", n)
	}
	if _, err := openAny(pcapHeader(little, micro, 220)); err == nil || !strings.Contains(err.Error(), "cannot be read: capture on a network interface") {
		t.Errorf("of USB: %v", err)
	}
	f, err = openAny(bytes.Join([][]byte{
		section(big), ngInterface(big, 101, "tun0", 0), ngInterface(big, 220, "usbmon1", 0), ngInterface(big, 1, "eth0", 9),
		ngPacket(big, 1, seconds*1e6, "usb"), ngPacket(big, 2, seconds*1e9, "frame"), ngPacket(big, 0, seconds*1e6, "tunnel"),
	}, nil))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for r := range records(t, f) {
		if r.At.Unix() != seconds {
			t.Errorf("%s at %s", r.Raw, r.At)
		}
		got = append(got, r.Interface+" "+r.Link.String()+" "+string(r.Raw))
	}
	if diff := cmp.Diff([]string{"usbmon1 USB usb", "eth0 Ethernet frame", "tun0 Raw tunnel"}, got); diff != "" {
		t.Error(diff)
	}
}

func FuzzRecordFrame(f *testing.F) {
	for _, link := range []uint16{0, 1, 12, 101, 108, 113, 228, 276} {
		f.Add(link, []byte("\x81\x00\x00\x0a\x08\x00\x45\x00\x00\x00\x00\x00\x00\x00\x81\x00\x00\x01\x86\xdd\x60\x00"))
	}
	f.Fuzz(func(t *testing.T, link uint16, raw []byte) {
		r := Record{Interface: "x", Link: layers.LinkType(link), Raw: raw}
		frame, err := r.Frame()
		if err == nil && !readable(r.Link) {
			t.Errorf("link type %d was read", link)
		}
		if len(frame.Payload) > len(raw) {
			t.Errorf("a payload of %d bytes from %d", len(frame.Payload), len(raw))
		}
	})
}
