package lookup

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"porchlight/presence"
)

var loopback = netip.MustParseAddr("127.0.0.1")

// answer is a message with these names for an address.
func answer(t testing.TB, head dnsmessage.Header, of string, class dnsmessage.Class, names ...string) []byte {
	t.Helper()
	m := dnsmessage.Message{Header: head}
	for _, name := range names {
		m.Answers = append(m.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(of), Type: dnsmessage.TypePTR, Class: class, TTL: 10},
			Body:   &dnsmessage.PTRResource{PTR: dnsmessage.MustNewName(name)},
		})
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestNameIn(t *testing.T) {
	const of, inet = "1.0.0.127.in-addr.arpa.", dnsmessage.ClassINET
	ok := dnsmessage.Header{ID: 7, Response: true, Authoritative: true}
	for name, tc := range map[string]struct {
		msg  []byte
		want string
		is   bool
	}{
		"a name":               {answer(t, ok, of, inet, "Kettle.local."), "Kettle", true},
		"cache-flush":          {answer(t, ok, of, inet|1<<15, "kettle.local."), "kettle", true},
		"in capitals":          {answer(t, ok, strings.ToUpper(of), inet, "kettle.local."), "kettle", true},
		"the first of several": {answer(t, ok, of, inet, "a.local.", "b.local."), "a", true},
		"of another":           {answer(t, ok, "2.0.0.127.in-addr.arpa.", inet, "evil.local."), "", true},
		"another class":        {answer(t, ok, of, dnsmessage.ClassCHAOS, "evil.local."), "", true},
		"none":                 {answer(t, ok, of, inet), "", true},
		"hostile":              {answer(t, ok, of, inet, "\x1b[31mE\u202eve\x00.local."), "[31mE ve", true},
		"no answer":            {answer(t, dnsmessage.Header{ID: 7}, of, inet, "evil.local."), "", false},
		"to another question":  {answer(t, dnsmessage.Header{ID: 8, Response: true}, of, inet, "evil.local."), "", false},
		"torn off":             {answer(t, ok, of, inet, "kettle.local.")[:50], "", false},
		"nothing":              {nil, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got, is := nameIn(tc.msg, 7, loopback); got != tc.want || is != tc.is {
				t.Errorf("%q, %t, want %q, %t", got, is, tc.want, tc.is)
			}
		})
	}
}

func FuzzNameIn(f *testing.F) {
	question, err := askFor(7, loopback)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(question)
	f.Add(answer(f, dnsmessage.Header{ID: 7, Response: true}, reverse(loopback), dnsmessage.ClassINET, "kettle.local.", "b."))
	f.Fuzz(func(t *testing.T, msg []byte) {
		name, ok := nameIn(msg, 7, loopback)
		if name != presence.CleanText(name, presence.MaxName) || !ok && name != "" {
			t.Errorf("%q, %t", name, ok)
		}
	})
}

// responder is a device that answers, or anybody else, on loopback.
func responder(t *testing.T, reply func(question []byte) [][]byte) (port uint16) {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = conn.Close(); <-done })
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			for _, b := range reply(buf[:n]) {
				_, _ = conn.WriteToUDPAddrPort(b, from)
			}
		}
	}()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort().Port()
}

func TestMDNS(t *testing.T) {
	var questions atomic.Int32
	port := responder(t, func(question []byte) [][]byte {
		var m dnsmessage.Message
		if err := m.Unpack(question); err != nil || len(m.Questions) != 1 || m.Questions[0].Name.String() != "1.0.0.127.in-addr.arpa." || m.Response {
			t.Errorf("asked %+v, %v", m, err)
		}
		if questions.Add(1) == 1 {
			return [][]byte{[]byte("noise")} // and then silence
		}
		ok := dnsmessage.Header{ID: m.ID, Response: true, Authoritative: true}
		return [][]byte{answer(t, dnsmessage.Header{ID: m.ID + 1, Response: true}, reverse(loopback), dnsmessage.ClassINET, "evil.local."), answer(t, ok, reverse(loopback), dnsmessage.ClassINET, "kettle.local.")}
	})
	name, err := (&MDNS{port}).Ask(t.Context(), loopback, "lo")
	if err != nil || name != "kettle" || questions.Load() != mdnsTries {
		t.Errorf("%q, %v, after %d questions", name, err, questions.Load())
	}
}

func TestMDNSNobody(t *testing.T) {
	port := responder(t, func([]byte) [][]byte { return nil })
	if name, err := (&MDNS{port}).Ask(t.Context(), loopback, "lo"); !errors.Is(err, errNoAnswer) || name != "" {
		t.Errorf("silence: %q, %v", name, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := (&MDNS{port}).Ask(ctx, loopback, "lo"); err == nil || errors.Is(err, errNoAnswer) {
		t.Errorf("cancelled: %v", err)
	}

	// A port that is closed says so at once. It is kept from others by a socket
	// that hears one other port only.
	conn, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	closed := conn.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	if name, err := (&MDNS{closed}).Ask(t.Context(), loopback, "lo"); err != nil || name != "" {
		t.Errorf("closed: %q, %v", name, err)
	}
}

func TestReverse(t *testing.T) {
	for addr, want := range map[string]string{
		"192.168.1.50":  "50.1.168.192.in-addr.arpa.",
		"fe80::1:2:abc": "c.b.a.0.2.0.0.0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.e.f.ip6.arpa.",
	} {
		a := netip.MustParseAddr(addr)
		if got := reverse(a); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
		if _, err := askFor(1, a); err != nil {
			t.Error(err)
		}
	}
}
