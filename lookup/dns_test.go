package lookup

import (
	"net/netip"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

func TestDNS(t *testing.T) {
	for name, tc := range map[string]struct {
		addr    string
		code    dnsmessage.RCode
		answers []string
		want    string
		fails   bool
	}{
		"a name":               {"192.168.1.50", dnsmessage.RCodeSuccess, []string{"kettle.fritz.box."}, "kettle", false},
		"none":                 {"192.168.1.51", dnsmessage.RCodeNameError, nil, "", false},
		"made of the address":  {"192.168.1.52", dnsmessage.RCodeSuccess, []string{"ip-192-168-1-52.lan.", "192-168-1-52."}, "", false},
		"the first that is no": {"192.168.1.53", dnsmessage.RCodeSuccess, []string{"192-168-1-53.lan.", "nas.lan."}, "nas", false},
		"refused":              {"192.168.1.54", dnsmessage.RCodeServerFailure, nil, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			port := responder(t, func(question []byte) [][]byte {
				var m dnsmessage.Message
				if err := m.Unpack(question); err != nil || len(m.Questions) != 1 || m.Questions[0].Type != dnsmessage.TypePTR {
					t.Errorf("asked %+v, %v", m, err)
					return nil
				}
				reply := dnsmessage.Message{
					Header:    dnsmessage.Header{ID: m.ID, Response: true, RCode: tc.code, RecursionAvailable: true},
					Questions: m.Questions,
				}
				for _, name := range tc.answers {
					reply.Answers = append(reply.Answers, dnsmessage.Resource{
						Header: dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Type: dnsmessage.TypePTR, Class: dnsmessage.ClassINET, TTL: 60},
						Body:   &dnsmessage.PTRResource{PTR: dnsmessage.MustNewName(name)},
					})
				}
				b, err := reply.Pack()
				if err != nil {
					t.Error(err)
				}
				return [][]byte{b}
			})
			got, err := NewDNS(netip.AddrPortFrom(loopback, port)).Ask(t.Context(), netip.MustParseAddr(tc.addr), "eth0")
			if got != tc.want || (err != nil) != tc.fails {
				t.Errorf("%q, %v, want %q", got, err, tc.want)
			}
		})
	}
}
