package dhcpwatch

import (
	"strings"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

func TestHostName(t *testing.T) {
	tests := map[string]struct {
		options options
		want    string
	}{
		"none":                      {nil, ""},
		"option 12":                 {options(nil).text(dhcpv4.OptionHostName, "tv"), "tv"},
		"option 12 with zero bytes": {options(nil).text(dhcpv4.OptionHostName, "tv\x00\x00"), "tv"},
		"option 12 wins": {
			options(nil).text(dhcpv4.OptionFQDN, "\x00\x00\x00other").text(dhcpv4.OptionHostName, "tv"), "tv",
		},
		"empty option 12": {
			options(nil).text(dhcpv4.OptionHostName, "").text(dhcpv4.OptionFQDN, "\x00\x00\x00tv"), "tv",
		},
		"option 81, ASCII":                   {options(nil).text(dhcpv4.OptionFQDN, "\x01\x00\x00tv"), "tv"},
		"option 81, ASCII with a domain":     {options(nil).text(dhcpv4.OptionFQDN, "\x01\xff\xfftv.example.com."), "tv"},
		"option 81, wire format":             {options(nil).text(dhcpv4.OptionFQDN, "\x05\x00\x00\x02tv\x07example\x03com\x00"), "tv"},
		"option 81, wire format, partial":    {options(nil).text(dhcpv4.OptionFQDN, "\x04\x00\x00\x02tv"), "tv"},
		"option 81, wire format, empty":      {options(nil).text(dhcpv4.OptionFQDN, "\x04\x00\x00"), ""},
		"option 81, wire format, root":       {options(nil).text(dhcpv4.OptionFQDN, "\x04\x00\x00\x00"), ""},
		"option 81, wire format, pointer":    {options(nil).text(dhcpv4.OptionFQDN, "\x04\x00\x00\xc0\x00"), ""},
		"option 81, label past the end":      {options(nil).text(dhcpv4.OptionFQDN, "\x04\x00\x00\x09tv"), ""},
		"option 81, label with dots and NUL": {options(nil).text(dhcpv4.OptionFQDN, "\x04\x00\x00\x05a.b\x00c"), "a.b c"},
		"option 81, only flags":              {options(nil).text(dhcpv4.OptionFQDN, "\x00\x00\x00"), ""},
		"option 81, too short":               {options(nil).text(dhcpv4.OptionFQDN, "\x04\x00"), ""},
		"too long":                           {options(nil).text(dhcpv4.OptionHostName, strings.Repeat("ä", 100)), strings.Repeat("ä", 31)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			o := dhcpv4.Options{}
			if err := o.FromBytes(test.options); err != nil {
				t.Fatal(err)
			}
			if got := hostName(o); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
