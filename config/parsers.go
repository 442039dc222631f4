package config

import (
	"errors"
	"math"
	"net/netip"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v10"
)

// parsers are for the types that the library cannot read, or not as we want.
var parsers = map[reflect.Type]env.ParserFunc{
	reflect.TypeFor[time.Duration](): func(v string) (any, error) { return parseSetting(v) },
	reflect.TypeFor[Rate]():          func(v string) (any, error) { return parseRate(v) },
	reflect.TypeFor[Size]():          func(v string) (any, error) { return parseSize(v) },
	reflect.TypeFor[url.URL]():       func(v string) (any, error) { return parseURL(v) },
}

// wants says for each type what a right value looks like.
var wants = map[reflect.Type]string{
	reflect.TypeFor[bool]():           "true or false",
	reflect.TypeFor[int]():            "a whole number",
	reflect.TypeFor[float64]():        "a number such as 0.25",
	reflect.TypeFor[time.Duration]():  "a duration such as 30s, 10m, 12h or 7d",
	reflect.TypeFor[Rate]():           "a rate per second such as 50/s",
	reflect.TypeFor[Size]():           "a size such as 256MB or 1GB",
	reflect.TypeFor[*url.URL]():       "an address such as mqtt://192.168.1.10:1883",
	reflect.TypeFor[[]uint16]():       "ports such as 62001,62002",
	reflect.TypeFor[[]netip.Prefix](): "networks such as 192.168.1.0/24, comma-separated",
}

var errParse = errors.New("not of this form")

// parseSetting reads a duration, or "off" or "never", which are none.
func parseSetting(s string) (time.Duration, error) {
	if s == "off" || s == "never" {
		return 0, nil
	}
	return ParseDuration(s)
}

// ParseDuration reads what time.ParseDuration reads, and weeks and days: "2w",
// "7d", "1d12h", "1.5d".
func ParseDuration(s string) (time.Duration, error) {
	return parseLong(s, "w", 7*24*time.Hour, func(s string) (time.Duration, error) {
		return parseLong(s, "d", 24*time.Hour, time.ParseDuration)
	})
}

// parseLong reads how many of a unit there are, if any, and the rest by rest.
func parseLong(s, name string, unit time.Duration, rest func(string) (time.Duration, error)) (time.Duration, error) {
	number, left, found := strings.Cut(s, name)
	if !found {
		return rest(s)
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || !(math.Abs(n) < float64(math.MaxInt64/unit)) {
		return 0, errParse
	}
	d := time.Duration(n * float64(unit))
	if left == "" {
		return d, nil
	}
	more, err := rest(left)
	if err != nil || more < 0 || d < 0 || d+more < d {
		return 0, errParse
	}
	return d + more, nil
}

// parseSize reads "256MB", "1.5GB" or a number of bytes. Units are decimal, as
// on the box of a disk; those of 1,024 ("256MiB") are taken as well.
func parseSize(s string) (Size, error) {
	number := strings.TrimRight(s, "kKmMgGiIbB ")
	unit, known := map[string]float64{
		"": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "k": 1e3, "m": 1e6, "g": 1e9,
		"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30,
	}[strings.ToLower(strings.TrimSpace(s[len(number):]))]
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || !known || !(n >= 0 && n*unit < 1<<50) {
		return 0, errParse
	}
	return Size(n * unit), nil
}

// parseRate reads "50/s" or "50".
func parseRate(s string) (Rate, error) {
	n, err := strconv.Atoi(strings.TrimSuffix(s, "/s"))
	return Rate(n), err
}

// parseURL reads a URL. Its error does not repeat it, as it can hold a password.
func parseURL(s string) (url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return url.URL{}, errParse
	}
	return *u, nil
}

// ParseLookup reads one of the items of NAME_LOOKUP: kind is mdns or dns. The
// server is invalid for those that the system is set to; its port is 53 unless
// it says another one.
func ParseLookup(item string) (kind string, server netip.AddrPort, ok bool) {
	kind, at, named := strings.Cut(item, ":")
	switch {
	case !named:
		return kind, server, kind == "mdns" || kind == "dns"
	case kind != "dns":
		return kind, server, false
	}
	if a, err := netip.ParseAddr(at); err == nil {
		const dnsPort = 53
		return kind, netip.AddrPortFrom(a, dnsPort), true
	}
	server, err := netip.ParseAddrPort(at)
	return kind, server, err == nil && server.Port() != 0
}
