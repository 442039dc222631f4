package notify

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// everyService is an address of each kind of service, with what is secret in it.
var everyService = []struct{ url, secrets string }{
	{"ntfy://user:hunter2pw@ntfy.example/my-secret-topic", "hunter2pw my-secret-topic"},
	{"gotify://gotify.example/AzyoeNS.D4iJLVa", "AzyoeNS.D4iJLVa"},
	{"pushover://shoutrrr:apiToken1234@userKey5678", "apiToken1234 userKey5678"},
	{"telegram://110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw@telegram?chats=@channel_of_mine", "AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw channel_of_mine"},
	{"discord://discordToken99@123456789012345678", "discordToken99 123456789012345678"},
	{"slack://hook:WNA3PBYV6-F20DUQND3RQ-Webc4MAvoacrpPakR8phF0zi@webhook", "WNA3PBYV6 Webc4MAvoacrpPakR8phF0zi"},
	{"slack://xoxb:123456789012-1234567890123-4mt0t4l1YL3g1T5L4cK70k3N@C001CH4NN3L", "4mt0t4l1YL3g1T5L4cK70k3N"},
	{"matrix://:syt_accesstoken@matrix.example?rooms=!room:matrix.example", "syt_accesstoken"},
	{"ifttt://webhookKey42?events=porch", "webhookKey42"},
	{"generic://hook.example/secret-path?template=json", "secret-path"},
	{"generic://hook.example:8080/secret-path?disabletls=yes", "secret-path"},
	{"generic+https://hook.example/secret-path?key=abcdef", "secret-path abcdef"},
	{"mattermost://mm.example/thisshouldbeanapitoken", "thisshouldbeanapitoken"},
	{"rocketchat://rocket.example/tokenAAAA/tokenBBBB/channel", "tokenAAAA tokenBBBB"},
	{"pushbullet://tokentokentokentokentokentokentoke", "tokentokentoken"},
	{"bark://:devicekey12@bark.example", "devicekey12"},
	{"join://shoutrrr:joinApiKey@join?devices=dev1", "joinApiKey"},
	{"zulip://bot%40zulip.example:correcthorsebattery@zulip.example?stream=foo", "correcthorsebattery"},
	{"signal://user:passw0rd@signal.example:443/+1234567890/+0987654321", "passw0rd +0987654321"},
	{"googlechat://chat.googleapis.com/v1/spaces/FOO/messages?key=barKey12&token=bazToken", "barKey12 bazToken"},
	{"smtp://porch:hunter2pw@mail.example:587/?from=porch@example.org&to=ann@example.org,bob@example.org", "hunter2pw ann@ bob@"},
	{"smtp://porch:hunter2pw@mail.example:465/?from=porch@example.org&to=ann@example.org", "hunter2pw ann@"},
}

// TestEveryService asks each kind of service in each kind of trouble: what did
// not arrive is said to, and no error shows a secret.
func TestEveryService(t *testing.T) {
	m := rendered{title: "New device: Kettle", text: "New device: Kettle\nSince: today", html: "<b>New device</b>", id: "abc"}
	for _, test := range everyService {
		kind, _, _ := strings.Cut(test.url, ":")
		for _, c := range []struct {
			trouble trouble
			says    string // empty: it is taken
			mail    string // what mail says in place of it; "-": it is taken
		}{
			{well, "", "-"},
			{refused, "connection refused", "connection refused"},
			{slams, "closed", "closed"},
			{mute, "no answer in time", "no answer in time"},
			{late, "", "-"},
			{cutsAfter, "closed the connection without an answer", "closed the connection without an answer"},
			{tooMany, "it answered 429 Too Many Requests", "answered 421 4.7.0 too many connections"},
			{broken, "it answered 500 Internal Server Error", "answered 451 4.3.0 something broke here"},
			{moved, "it answered 308", "-"},
			{login, "it answered 302", "-"},
			{untrusted, "certificate signed by unknown authority", "certificate signed by unknown authority"},
			{endless, "", "-"},
		} {
			t.Run(kind+" "+string(c.trouble), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					n := newInternet(t)
					n.is(c.trouble)
					services, err := ParseServices(test.url)
					if err != nil {
						t.Fatal(err)
					}
					begun, ready := time.Now(), 0
					err = (&line{service: &services[0]}).send(m, func() { ready++ })
					took := time.Since(begun)
					want := c.says
					if kind == "smtp" {
						want = strings.TrimPrefix(c.mail, "-")
					}
					if kind == "zulip" && want != "" {
						want = "cannot be reached" // its part of the library gives no reason
					}
					plain := strings.Contains(test.url, "disabletls")
					switch {
					case c.trouble == untrusted && plain:
						return
					case c.trouble == endless && err != nil && len(n.taken()) == 1: // no JSON, to who wants some
					case want == "" && err != nil:
						t.Errorf("it says %v", err)
					case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
						t.Errorf("it says %v, want %q", err, want)
					}
					if got := n.taken(); len(got) > 0 && ready != 1 || c.trouble == refused && ready != 0 {
						t.Errorf("it was ready %d times, and %d were taken", ready, len(got))
					} else {
						n.took = got
					}
					if took > 2*answerWithin {
						t.Errorf("it took %s", took)
					}
					if err == nil {
						if got := strings.Join(n.taken(), ""); strings.Count(got, "Since") != 1 || !strings.Contains(got, "Kettle") {
							t.Errorf("it took %q", got)
						}
						return
					}
					for secret := range strings.SplitSeq(test.secrets, " ") {
						if strings.Contains(err.Error(), secret) {
							t.Errorf("%q is in %q", secret, err)
						}
					}
					if strings.ContainsAny(err.Error(), "\x00\n") || strings.Contains(err.Error(), "://") {
						t.Errorf("%q", err)
					}
				})
			})
		}
	}
}

// TestNextMessage: nothing of a message is in the next one by the same line.
func TestNextMessage(t *testing.T) {
	for _, test := range everyService {
		kind, _, _ := strings.Cut(test.url, ":")
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newInternet(t)
				n.is(well)
				services, err := ParseServices(test.url)
				if err != nil {
					t.Fatal(err)
				}
				l := &line{service: &services[0]}
				for _, name := range []string{"Kettle", "Toaster"} {
					m := rendered{title: name + " left", text: name + " left\nSince: today", html: name, id: name}
					if err := l.send(m, func() {}); err != nil {
						t.Fatal(err)
					}
					got := strings.Join(n.taken(), "\n")
					if !strings.Contains(got, name) || name == "Toaster" && strings.Contains(got, "Kettle") {
						t.Errorf("of %s it took %q", name, got)
					}
				}
			})
		})
	}
}

// TestNoTLS says what to do about a service that does not speak TLS.
func TestNoTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		newInternet(t)
		services, err := ParseServices("generic://hook.example:8080/x")
		if err != nil {
			t.Fatal(err)
		}
		err = (&line{service: &services[0]}).send(rendered{text: "x"}, func() {})
		if err == nil || !strings.Contains(err.Error(), "disabletls=yes") {
			t.Errorf("it says %v", err)
		}
	})
}
