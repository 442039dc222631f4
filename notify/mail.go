package notify

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	netsmtp "net/smtp"
	"net/textproto"
	"os"
	"strconv"
	"time"

	"github.com/nicholas-fedor/shoutrrr/pkg/services/email/smtp"

	"porchlight/presence"
)

// sendMail sends m to all its receivers at once. The library would wait without
// end for a server that says nothing, mail those who have it already again when
// another is refused, and write no HTML part.
//
// What has a partly is delivered to the others. An error after the whole mail was
// handed over leaves open whether it was taken; as the same message has the same
// Message-ID, who gets it twice can tell.
func sendMail(config *smtp.Config, m rendered, ready func()) error {
	c := config.Clone()
	c.FixEmailTags()
	ctx, cancel := context.WithTimeout(context.Background(), answerWithin)
	defer cancel()
	client, err := dialMail(ctx, &c)
	if err != nil {
		return mailFault(err)
	}
	defer func() { _ = client.Close() }()
	refused, err := handOver(client, &c, m, ready)
	if err != nil {
		return mailFault(err)
	}
	_ = client.Quit() // it is taken, whatever comes now
	if len(refused) > 0 {
		return partly{said(fmt.Sprintf("%d of %d receivers are refused: %s", len(refused), len(c.ToAddresses), mailWords(refused[0])))}
	}
	return nil
}

// mailRoots are the authorities that vouch for mail servers; nil: the system's.
var mailRoots *x509.CertPool

// dialMail connects and logs in. All of it, and what follows, must end with ctx.
func dialMail(ctx context.Context, c *smtp.Config) (client *netsmtp.Client, err error) {
	security := &tls.Config{
		ServerName: c.Host, MinVersion: tls.VersionTLS12, RootCAs: mailRoots,
		InsecureSkipVerify: c.SkipTLSVerify, //nolint:gosec // the user's wish
	}
	conn, err := dial(ctx, "tcp", net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port))))
	if err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	defer func() {
		if err != nil {
			_ = conn.Close()
		}
	}()
	implicit := c.Encryption == smtp.EncMethods.ImplicitTLS || c.Encryption == smtp.EncMethods.Auto && c.Port == smtp.ImplicitTLSPort
	if implicit {
		conn = tls.Client(conn, security)
	}
	if client, err = netsmtp.NewClient(conn, c.Host); err != nil {
		return nil, err
	}
	if err := client.Hello(helloName(c.ClientHost)); err != nil {
		return nil, err
	}
	if c.UseStartTLS && !implicit {
		if offered, _ := client.Extension("STARTTLS"); offered {
			if err := client.StartTLS(security); err != nil {
				return nil, err
			}
		} else if c.RequireStartTLS || c.Encryption == smtp.EncMethods.ExplicitTLS {
			return nil, said("the mail server offers no encryption (STARTTLS)")
		}
	}
	return client, logIn(client, c)
}

func helloName(set string) string {
	if set != "auto" {
		return set
	}
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return name
}

func logIn(client *netsmtp.Client, c *smtp.Config) error {
	switch c.Auth {
	case smtp.AuthTypes.Plain:
		return client.Auth(netsmtp.PlainAuth("", c.Username, c.Password, c.Host))
	case smtp.AuthTypes.CRAMMD5:
		return client.Auth(netsmtp.CRAMMD5Auth(c.Username, c.Password))
	case smtp.AuthTypes.OAuth2:
		return client.Auth(smtp.OAuth2Auth(c.Username, c.Password))
	}
	return nil
}

// handOver gives the server one mail for all receivers, and returns why some of
// them, but not all, are refused.
func handOver(client *netsmtp.Client, c *smtp.Config, m rendered, ready func()) (refused []error, err error) {
	if err := client.Mail(c.FromAddress); err != nil {
		return nil, err
	}
	for _, to := range c.ToAddresses {
		if err := client.Rcpt(to); err != nil {
			refused = append(refused, err)
		}
	}
	if len(refused) == len(c.ToAddresses) {
		return nil, refused[0]
	}
	w, err := client.Data()
	if err != nil {
		return nil, err
	}
	text, err := mailText(c, m, time.Now())
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	ready()                   // with the end of the text it is the server's
	return refused, w.Close() // nil: the server has it
}

// mailFault says what is wrong in our words.
func mailFault(err error) error {
	var ours fault
	if errors.As(err, &ours) {
		return err
	}
	return said(mailWords(err))
}

func mailWords(err error) string {
	var answer *textproto.Error
	if errors.As(err, &answer) {
		return fmt.Sprintf("the mail server answered %d %s", answer.Code, presence.CleanText(answer.Msg, 160))
	}
	var ours fault
	errors.As(unanswered(err), &ours)
	return string(ours)
}
