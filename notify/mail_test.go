package notify

import (
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/email/smtp"

	"porchlight/presence"
)

// letter is a mail as its reader sees it.
type letter struct {
	header              mail.Header
	subject, text, html string
}

// read decodes a mail, as a server got it, and checks what mail must be.
func read(t *testing.T, data string) (l letter) {
	t.Helper()
	for line := range strings.SplitSeq(data, "\n") {
		if len(line) > 998 {
			t.Errorf("a line has %d bytes", len(line))
		}
		for _, r := range line {
			if r > '~' {
				t.Errorf("a line is not ASCII: %q", line)
				break
			}
		}
	}
	m, err := mail.ReadMessage(strings.NewReader(data))
	if err != nil {
		t.Fatalf("%v in:\n%s", err, data)
	}
	l.header = m.Header
	if l.subject, err = new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject")); err != nil {
		t.Error(err)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("it is %s, %v", kind, err)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	for _, p := range []struct {
		kind string
		into *string
	}{{"text/plain; charset=utf-8", &l.text}, {"text/html; charset=utf-8", &l.html}} {
		part, err := parts.NextPart() // it undoes quoted-printable
		if err != nil {
			t.Fatal(err)
		}
		if got := part.Header.Get("Content-Type"); got != p.kind {
			t.Errorf("a part is %s, want %s", got, p.kind)
		}
		b, err := io.ReadAll(part)
		if err != nil {
			t.Fatal(err)
		}
		*p.into = strings.ReplaceAll(string(b), "\r\n", "\n")
	}
	if _, err := parts.NextPart(); err != io.EOF { //nolint:errorlint // as documented
		t.Errorf("there are more parts: %v", err)
	}
	return l
}

const mailURL = "smtp://porch:hunter2pw@mail.example:587/?from=porch@example.org&fromname=Türlicht&to=ann@example.org,bob+lan@example.org"

func TestMail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newInternet(t)
		r := newRig(t, "new, left, arrived", func(c *Config) { c.URLs, c.PerHour = mailURL, 3 })
		const hostile = "Küche\r\nBcc: evil@example.org\r\n\r\n<script>alert(1)</script>\r\n.\r\nQUIT"
		_, stop := r.startReal()
		r.book.log(presence.Event{Type: presence.NewDevice, ID: idOf(1), MAC: presence.MAC{5: 1}, Name: hostile, HostName: "kettle", Vendor: strings.Repeat("Längst ", 400), Why: "ARP request"})
		time.Sleep(time.Minute)
		if len(n.letters()) != 1 {
			t.Fatalf("%d mails", len(n.letters()))
		}
		e := n.letters()[0]
		if diff := cmp.Diff([]string{"TO:<ann@example.org>", "TO:<bob+lan@example.org>"}, e.to); diff != "" {
			t.Error(diff)
		}
		l := read(t, e.data)
		if got := l.header.Get("Bcc"); got != "" || len(l.header) != 8 {
			t.Errorf("the header is %v", l.header)
		}
		if !strings.HasPrefix(l.subject, "New device: Küche Bcc: evil@example.org <script>") {
			t.Errorf("the subject is %q", l.subject)
		}
		for _, part := range []string{"Host name: kettle", "MAC: 00:00:00:00:00:01", "Vendor: Längst", "Since: ", "Why: ARP request", "http://porch:8580/devices/000000000001"} {
			if !strings.Contains(l.text, part) {
				t.Errorf("%q is not in the text:\n%s", part, l.text)
			}
		}
		if strings.Contains(l.html, "<script>") || !strings.Contains(l.html, "&lt;script&gt;") || !strings.Contains(l.html, "</body></html>") {
			t.Errorf("the HTML is\n%s", l.html)
		}
		from, err := l.header.AddressList("From")
		if err != nil || from[0].Name != "Türlicht" || from[0].Address != "porch@example.org" {
			t.Errorf("it is from %v, %v", from, err)
		}
		if date, err := l.header.Date(); err != nil || time.Since(date) > 2*time.Minute {
			t.Errorf("its date is %v, %v", date, err)
		}

		var crowd []presence.Event // more than the hour allows
		for d := range 30 {
			crowd = append(crowd, eventOf(presence.Arrived, d))
		}
		r.book.log(crowd...)
		time.Sleep(2 * time.Hour)
		stop()
		l = read(t, n.letters()[len(n.letters())-1].data)
		if !strings.HasSuffix(l.subject, " arrived") || strings.Count(l.text, " is home") < 20 || strings.Count(l.html, " is home") < 20 {
			t.Errorf("the digest is %q\n%s", l.subject, l.text)
		}
		if len(n.letters()) > 5 {
			t.Errorf("%d mails", len(n.letters()))
		}
	})
}

// TestSameMailTwice gives a mail that is sent again, as nobody knows whether it
// was taken, the same number.
func TestSameMailTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newInternet(t)
		r := newRig(t, "new", func(c *Config) { c.URLs = mailURL })
		_, stop := r.startReal()
		n.is(cutsAfter)
		r.book.happen(presence.NewDevice, 1)
		time.Sleep(5 * time.Second)
		n.is(well)
		time.Sleep(time.Minute)
		r.book.happen(presence.NewDevice, 2)
		time.Sleep(time.Minute)
		stop()
		if len(n.letters()) != 3 {
			t.Fatalf("%d mails", len(n.letters()))
		}
		var ids []string
		for _, m := range n.letters() {
			ids = append(ids, read(t, m.data).header.Get("Message-Id"))
		}
		if ids[0] != ids[1] || ids[1] == ids[2] || !strings.HasSuffix(ids[0], ".porchlight@example.org>") {
			t.Errorf("%q", ids)
		}
	})
}

// TestPartOfTheReceivers mails those who can be mailed, once.
func TestPartOfTheReceivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newInternet(t)
		n.noFor = "bob+lan@example.org"
		r := newRig(t, "new", func(c *Config) { c.URLs = mailURL })
		m, stop := r.startReal()
		r.book.happen(presence.NewDevice, 1)
		time.Sleep(time.Hour)
		stop()
		if len(n.letters()) != 1 || len(n.letters()[0].to) != 1 || m.States()[0].Waiting != 0 {
			t.Errorf("%+v, %+v", n.letters(), m.States())
		}
	})
}

// TestOwnTemplatesInMail uses the templates of the user.
func TestOwnTemplatesInMail(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		titleFile: "{{len .Items}} Neuigkeiten",
		textFile:  "{{range .Items}}{{.Headline}} ({{join .Groups}}) {{clock .When}}\n{{end}}",
		htmlFile:  `<p>{{range .Items}}<a href="{{.Link}}">{{.Name}}</a>{{end}}</p>`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		n := newInternet(t)
		r := newRig(t, "new", func(c *Config) { c.URLs, c.Templates = mailURL, dir })
		r.book.devices[idOf(1)] = &presence.Device{Settings: presence.Settings{Groups: []string{"Kids", "Küche"}}}
		_, stop := r.startReal()
		r.book.happen(presence.NewDevice, 1)
		time.Sleep(time.Minute)
		stop()
		l := read(t, n.letters()[0].data)
		want := letter{subject: "1 Neuigkeiten", text: "New device: device 1 (Kids, Küche) " + r.book.events[0].Time.Local().Format("Mon 2 Jan 15:04"), html: `<p><a href="http://porch:8580/devices/000000000001">device 1</a></p>`}
		l.header = nil
		if diff := cmp.Diff(want, l, cmp.AllowUnexported(letter{})); diff != "" {
			t.Error(diff)
		}
	})
}

func FuzzMailText(f *testing.F) {
	f.Add("New device: Küche", "text\n.\n", "<p>html</p>", "porch@example.org", "Tür")
	f.Add("a\r\nBcc: x@y", "--\r\n\r\n", strings.Repeat("x", 2000), "a@b\r\nBcc: c@d", "a\r\nBcc: c@d")
	f.Add("=?utf-8?q?=1b[31m?= left =?utf-8?b?4oCu?=", "=20\n \n", "\xff", "\"a b\"@c", "=?utf-8?q?x?=")
	f.Fuzz(func(t *testing.T, title, text, html, from, name string) {
		c := &smtp.Config{FromAddress: from, FromName: name, ToAddresses: []string{"ann@example.org"}}
		if checkMail(c) != nil {
			c.FromAddress = "porch@example.org"
		}
		b, err := mailText(c, rendered{title: title, text: text, html: html, id: "abc"}, time.Unix(0, 0))
		if err != nil {
			t.Fatal(err)
		}
		l := read(t, strings.ReplaceAll(string(b), "\r\n", "\n"))
		if len(l.header) != 8 {
			t.Errorf("the header is %q", l.header)
		}
		if want := presence.CleanText(title, maxTitle); l.subject != want {
			t.Errorf("the subject is %q, want %q", l.subject, want)
		}
		if !strings.ContainsRune(text+html, '\r') && (l.text != text || l.html != html) {
			t.Errorf("the text is %q and %q, want %q and %q", l.text, l.html, text, html)
		}
	})
}
