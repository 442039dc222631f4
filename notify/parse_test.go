package notify

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"porchlight/presence"
)

func TestRules(t *testing.T) {
	kettle := &presence.Device{Settings: presence.Settings{Groups: []string{"Kitchen"}}}
	door := &presence.Device{Settings: presence.Settings{Important: true}}
	e := func(t presence.EventType) presence.Event {
		return presence.Event{Type: t, ID: "02005e100001", MAC: presence.MAC{2, 0, 0x5e, 0x10, 0, 1}, Name: "Front Door"}
	}
	for _, test := range []struct {
		rule  string
		event presence.EventType
		d     *presence.Device
		want  bool
	}{
		{"new", presence.NewDevice, kettle, true},
		{"new", presence.Baseline, nil, true},
		{"new", presence.NewGuests, nil, true},
		{"new", presence.Arrived, kettle, false},
		{"arrived", presence.Arrived, nil, true},
		{"left", presence.Left, kettle, true},
		{"conflict", presence.AddressConflict, nil, true},
		{"sensing", presence.SensingLost, nil, true},
		{"sensing", presence.SensingBack, nil, true},
		{"address_changed", presence.AddressChanged, nil, true},
		{"left/kitchen", presence.Left, kettle, true},
		{"left/Kitchen", presence.Left, door, false},
		{"left/front door", presence.Left, door, true},
		{"left/02:00:5e:10:00:01", presence.Left, nil, true},
		{"left/02005E100001!", presence.Left, nil, true},
		{"left/Kids", presence.Left, nil, false},
		{"gone", presence.Left, door, true},
		{"gone", presence.Left, kettle, false},
		{"gone/Kitchen", presence.Left, kettle, true},
		{"gone", presence.Left, nil, false},
	} {
		rules, err := ParseRules(test.rule)
		if err != nil || len(rules) != 1 {
			t.Fatalf("%s: %v, %v", test.rule, rules, err)
		}
		event := e(test.event)
		if got := rules[0].wants(&event, test.d); got != test.want {
			t.Errorf("%s of %s: %v", test.rule, test.event, got)
		}
	}
	rules, err := ParseRules(" new , gone:45m/Front door > phone! ,, ")
	if err != nil || len(rules) != 2 {
		t.Fatal(rules, err)
	}
	if r := rules[1]; r.After != 45*time.Minute || r.Of != "Front door" || r.To != "phone" || !r.Urgent {
		t.Errorf("%+v", r)
	}
	for rule, want := range map[string]string{
		"knew": "want one of", "left:5m": "only \"gone\"", "gone:soon": "1m to 168h", "gone:5s": "1m to 168h",
		"gone:": "1m to 168h", "new,<b>": "want one of", strings.Repeat("new,", 65): "at most 64",
	} {
		if _, err := ParseRules(rule); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20s: %v", rule, err)
		}
	}
}

func TestQuiet(t *testing.T) {
	at := func(clock string) time.Time {
		c, err := time.ParseInLocation("2006-01-02 15:04", "2026-03-28 "+clock, time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for _, test := range []struct{ hours, at, until string }{
		{"22:00-07:00", "21:59", ""},
		{"22:00-07:00", "22:00", "2026-03-29 07:00"},
		{"22:00-07:00", "00:30", "2026-03-28 07:00"},
		{"22:00-07:00", "07:00", ""},
		{"13:00-15:30", "14:00", "2026-03-28 15:30"},
		{"13:00-15:30", "15:30", ""},
		{"13:00-15:30", "12:59", ""},
		{"", "03:00", ""},
	} {
		q, err := ParseQuiet(test.hours)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if u := q.until(at(test.at)); !u.IsZero() {
			got = u.Format("2006-01-02 15:04")
		}
		if got != test.until {
			t.Errorf("%s at %s: until %q, want %q", test.hours, test.at, got, test.until)
		}
	}
	for _, wrong := range []string{"22", "22:00", "22:00-25:00", "22:00-22:00", "night"} {
		if _, err := ParseQuiet(wrong); err == nil {
			t.Errorf("%q is taken", wrong)
		}
	}
}

// TestQuietInTheNightOfTheChange: what is held back is not tried again at once,
// and over and over, when the clock is put forward or back.
func TestQuietInTheNightOfTheChange(t *testing.T) {
	for zone, nights := range map[string][]time.Time{
		"America/New_York":    {time.Date(2026, 3, 8, 0, 0, 0, 0, time.UTC), time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)},
		"Europe/Berlin":       {time.Date(2026, 3, 28, 18, 0, 0, 0, time.UTC), time.Date(2026, 10, 24, 18, 0, 0, 0, time.UTC)},
		"Australia/Lord_Howe": {time.Date(2026, 4, 4, 0, 0, 0, 0, time.UTC), time.Date(2026, 10, 3, 0, 0, 0, 0, time.UTC)},
		"America/Sao_Paulo":   {time.Date(2018, 11, 3, 18, 0, 0, 0, time.UTC)}, // at midnight
	} {
		place, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		for _, hours := range []string{"22:00-02:30", "22:00-01:30", "00:15-02:15", "23:00-00:30", "22:00-07:00", "02:30-01:45"} {
			q, err := ParseQuiet(hours)
			if err != nil {
				t.Fatal(err)
			}
			for _, night := range nights {
				for at := range 24 * 60 {
					now := night.Add(time.Duration(at) * time.Minute).In(place)
					if until := q.until(now); !until.IsZero() && (!until.After(now) || until.Sub(now) > 25*time.Hour) {
						t.Fatalf("%s in %s at %s: until %s", hours, zone, now, until)
					}
				}
			}
		}
	}
}

func TestParseServices(t *testing.T) {
	list, err := ParseServices("phone=ntfy://ntfy.sh/my-topic, generic://127.0.0.1:8080/hook?a=1,2\n smtp://u:p@mail.example:587/?from=a@example.org&to=b@example.org,c@example.org generic://10.0.0.1/")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range list {
		names = append(names, s.Name)
	}
	if got := strings.Join(names, " "); got != "phone generic smtp generic-2" {
		t.Errorf("%s", got)
	}
	if !strings.Contains(list[2].url, "c@example.org") {
		t.Errorf("the mail's second address is lost")
	}
	if none, err := ParseServices(" \n"); err != nil || len(none) != 0 {
		t.Errorf("%v, %v", none, err)
	}
	for _, wrong := range []string{
		"hunter2", "hunter2 ntfy://ntfy.sh/x", "nosuch://hunter2/x", "telegram://hunter2", "pushover://hunter2", "ntfy://hunter2:%zz@x/y",
		"logger://hunter2", "matrix://:hunter2@m.example", "matrix://:hunter2@m.example?rooms=,", "ifttt://hunter2?events=a,b",
		"telegram://110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALhunter2@telegram?chats=@one,@two", "smtp://u:hunter2@mail.example/",
		"smtp://u:hunter2@mail.example/?from=hunter2&to=a@b.example", "smtp://u:hunter2@mail.example/?from=a@b.example&to=a@b.example,c@d.example%0d%0aBcc:hunter2@x.example",
	} {
		_, err := ParseServices(wrong)
		if err == nil {
			t.Errorf("%s is taken", wrong)
			continue
		}
		if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "\n") {
			t.Errorf("the error shows a secret, or is not one line: %v", err)
		}
	}
}

// TestWrongServiceIsExplained says what is wrong, and not only that something is.
func TestWrongServiceIsExplained(t *testing.T) {
	for address, want := range map[string]string{
		"telegram://hunter2@telegram?chats=@x":               "number 1: invalid telegram token: …",
		"ntfy://ntfy.example":                                "number 1: topic is required",
		"smtp://mail.example/?from=a@b.example":              "number 1: toAddress missing from config URL",
		"nosuch://x":                                         `number 1: unknown service: "nosuch"`,
		"ntfy://h/x, generic://h/x?nothing=%zz":              "",
		"smtp://mail.example/?from=a@b.example&to=a@b&nix=1": "number 1: setting query parameter",
		"matrix://:abcdef@matrix.example?rooms=!a:x,!b:x":    "number 1: it names 2 rooms: want one, and an address for each",
	} {
		_, err := ParseServices(address)
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", address, err, want)
		}
	}
}

func TestRedact(t *testing.T) {
	list, err := ParseServices("telegram://110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw@telegram?chats=@channel_of_mine")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		`Post "https://api.telegram.org/bot110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw/sendMessage": dial tcp: lookup api.telegram.org: no such host`: `Post "… dial tcp: lookup api.telegram.org: no such host`,
		"token AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw is wrong for @channel_of_mine":                                                                       "token … is wrong for …",
		"sending to https://api.telegram.org/x: " + said("it answered 429 Too Many Requests").Error():                                                  "it answered 429 Too Many Requests",
		"two\r\nlines\x1b[31m":       "two lines [31m",
		strings.Repeat("long ", 200): strings.TrimSpace(strings.Repeat("long ", 60)),
		"\n":                         "it does not work, and does not say why",
	} {
		if got := list[0].redact(errors.New(text)); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestTemplates(t *testing.T) {
	own := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(own, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(titleFile, "Neu: {{(index .Items 0).Name}}")
	tpl, err := newTemplates(own)
	if err != nil {
		t.Fatal(err)
	}
	const hostile = `<script>alert(1)</script>{{.Title}}" onload="x`
	items := sample()[:1]
	items[0].Name, items[0].HostName, items[0].Vendor, items[0].Why = hostile, hostile, hostile, hostile
	items[0].Headline = headline(&items[0].Event)
	items[0].Link = "http://porch/devices/x"
	m, err := tpl.render(Message{Items: items})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(m.title, "Neu: <script>") {
		t.Errorf("the user's title is %q", m.title)
	}
	if strings.Contains(m.html, "<script>") || strings.Contains(m.html, `" onload`) || !strings.Contains(m.html, "&lt;script&gt;") {
		t.Errorf("the mail is\n%s", m.html)
	}
	for _, want := range []string{"Host name: " + hostile, "Groups: Kitchen", "Why: ", "http://porch/devices/x", "Since: "} {
		if !strings.Contains(m.text, want) {
			t.Errorf("%q is not in\n%s", want, m.text)
		}
	}
	for name, text := range map[string]string{textFile: "{{.Nothing}}", htmlFile: "{{if}}", titleFile: "{{index .Items 99}}"} {
		write(name, text)
		if _, err := newTemplates(own); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s of %q: %v", name, text, err)
		}
		_ = os.Remove(filepath.Join(own, name))
	}
	for _, dir := range []string{own, filepath.Join(own, "gone")} {
		if _, err := newTemplates(dir); err == nil || !strings.Contains(err.Error(), titleFile) {
			t.Errorf("a directory without templates: %v", err)
		}
	}
}

func FuzzParseServices(f *testing.F) {
	for _, s := range everyService {
		f.Add(s.url)
	}
	f.Add("a=ntfy://h/hunter2topic, ntfy://h/x\nsmtp://u:hunter2pw@h/?from=a@b&to=c@d,e@f")
	f.Add("matrix://:t@h?rooms=,a")
	real := dial
	f.Cleanup(func() { dial = real })
	f.Fuzz(func(t *testing.T, text string) {
		dial = func(context.Context, string, string) (net.Conn, error) {
			t.Errorf("to read %q it asks somebody", text)
			return nil, errRefused
		}
		services, err := ParseServices(text)
		if err != nil {
			if services != nil || strings.ContainsAny(err.Error(), "\n\r\x00") || strings.Contains(err.Error(), "://hunter2") {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		names := map[string]bool{}
		for _, s := range services {
			if s.Name == "" || names[s.Name] || s.id == "" {
				t.Errorf("%q: the name %q", text, s.Name)
			}
			names[s.Name] = true
			for _, secret := range s.hidden {
				if got := s.redact(errors.New("it failed: " + secret)); strings.Contains(got, secret) && !strings.Contains("it failed: ……", secret) {
					t.Errorf("%q shows %q as %q", text, secret, got)
				}
			}
		}
	})
}

func FuzzParseRules(f *testing.F) {
	f.Add("new, gone:45m/Front door>phone!")
	f.Add("gone:168h0m0.1s/02:00:5e:10:00:01>!,left/>phone,machine/nginx!!,,listener_opened")
	f.Fuzz(func(t *testing.T, text string) {
		rules, err := ParseRules(text)
		if len(rules) > maxRules || err != nil && len(rules) > 0 {
			t.Errorf("%d rules, %v", len(rules), err)
		}
		for _, r := range rules {
			if r.After < goneLeast || r.After > goneMost {
				t.Error(r.After)
			}
		}
	})
}
