package notify

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"github.com/nicholas-fedor/shoutrrr/pkg/services/email/smtp"

	"porchlight/presence"
)

// checkMail reports which address is none that mail can be sent to or from.
func checkMail(config *smtp.Config) error {
	c := config.Clone()
	c.FixEmailTags()
	if !isAddress(c.FromAddress) {
		return errors.New("from: want an address such as porchlight@example.org")
	}
	for i, to := range c.ToAddresses {
		if !isAddress(to) {
			return fmt.Errorf("to: number %d: want an address such as ann@example.org", i+1)
		}
	}
	return nil
}

// isAddress reports whether s is a mail address and nothing else, in ASCII.
func isAddress(s string) bool {
	a, err := mail.ParseAddress(s)
	return err == nil && len(s) <= 254 && a.Address == s && !strings.ContainsFunc(s, func(r rune) bool { return r > '~' || r <= ' ' })
}

// mailText writes m as a mail with a text and an HTML part (RFC 5322, RFC 2046
// section 5.1.4). No line is longer than 998 bytes, and all of it is ASCII.
func mailText(c *smtp.Config, m rendered, now time.Time) ([]byte, error) {
	var b bytes.Buffer
	parts := multipart.NewWriter(&b)
	to := make([]string, 0, len(c.ToAddresses))
	for _, address := range c.ToAddresses {
		to = append(to, (&mail.Address{Address: address}).String())
	}
	for _, h := range [][2]string{
		{"From", (&mail.Address{Name: cmp.Or(presence.CleanText(c.FromName, presence.MaxName), "Porchlight"), Address: c.FromAddress}).String()},
		{"To", strings.Join(to, ",\r\n ")},
		{"Subject", subject(m.title)},
		{"Date", now.Format(time.RFC1123Z)},
		{"Message-ID", messageID(m.id, c.FromAddress)},
		{"Auto-Submitted", "auto-generated"}, // so that nobody's holiday note answers (RFC 3834)
		{"MIME-Version", "1.0"},
		{"Content-Type", "multipart/alternative;\r\n boundary=" + parts.Boundary()},
	} {
		fmt.Fprintf(&b, "%s: %s\r\n", h[0], h[1])
	}
	b.WriteString("\r\n")
	for _, part := range [][2]string{{"plain", m.text}, {"html", m.html}} {
		w, err := parts.CreatePart(textproto.MIMEHeader{
			"Content-Type":              {"text/" + part[0] + "; charset=utf-8"},
			"Content-Transfer-Encoding": {"quoted-printable"},
		})
		if err != nil {
			return nil, err
		}
		quoted := quotedprintable.NewWriter(w)
		if _, err := quoted.Write([]byte(strings.ReplaceAll(part[1], "\n", "\r\n"))); err != nil {
			return nil, err
		}
		if err := quoted.Close(); err != nil {
			return nil, err
		}
	}
	if err := parts.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// subject encodes a title as words of ASCII (RFC 2047), a line each.
func subject(title string) string {
	title = presence.CleanText(title, maxTitle)
	words := mime.QEncoding.Encode("utf-8", title)
	if words != title || !strings.Contains(title, "=?") {
		return strings.ReplaceAll(words, "?= =?", "?=\r\n =?")
	}
	// A name that looks encoded would be decoded, to what nobody has cleaned.
	var lines []string
	for part := range slices.Chunk([]byte(title), 20) { // a word has at most 75 characters
		lines = append(lines, "=?utf-8?q?"+looksEncoded.Replace(string(part))+"?=")
	}
	return strings.Join(lines, "\r\n ")
}

var looksEncoded = strings.NewReplacer("=", "=3D", "?", "=3F", "_", "=5F", " ", "_")

// messageID is the same each time that a message is sent.
func messageID(id, from string) string {
	return "<" + id + ".porchlight" + from[strings.LastIndex(from, "@"):] + ">"
}
