package notify

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/textproto"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// trouble is what is the matter with every service of an internet.
type trouble string

const (
	well      trouble = ""
	refused   trouble = "refused"
	mute      trouble = "mute"      // it takes all, and never answers
	late      trouble = "late"      // it answers after a minute
	slams     trouble = "slams"     // it closes each connection at once
	cutsAfter trouble = "cutsAfter" // it takes the message, and is gone before it answers
	tooMany   trouble = "tooMany"
	broken    trouble = "broken"
	moved     trouble = "moved"
	login     trouble = "login" // as a hotel's network, it sends everybody to its own page
	untrusted trouble = "untrusted"
	endless   trouble = "endless" // its answer never ends
)

// internet has every service of the world, each of which answers as the real one
// does. Connections are pipes, so that it can be in a bubble of synctest.
type internet struct {
	t      *testing.T
	ca     *x509.Certificate
	key    *ecdsa.PrivateKey
	conns  chan net.Conn
	web    *http.Server
	closed chan struct{}

	mu      sync.Mutex
	trouble trouble
	took    []string // messages: the path and the body of a request, or a mail
	noFor   string   // a mail address that is refused
	mails   []envelope
}

// envelope is a mail as the server got it.
type envelope struct {
	from string
	to   []string
	data string
}

func newInternet(t *testing.T) *internet {
	t.Helper()
	n := &internet{t: t, conns: make(chan net.Conn), closed: make(chan struct{})}
	n.ca, n.key = authority(t)
	pool := x509.NewCertPool()
	pool.AddCert(n.ca)
	n.web = &http.Server{Handler: n, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Hour}
	go func() { _ = n.web.Serve(n) }()
	before, roots := dial, verified.via.TLSClientConfig.RootCAs
	dial = n.dial
	verified.via.TLSClientConfig.RootCAs, mailRoots = pool, pool
	t.Cleanup(func() {
		synctest.Wait()
		dial = before
		verified.via.TLSClientConfig.RootCAs, mailRoots = roots, nil
		_ = n.web.Close()
		time.Sleep(time.Minute) // for the last words of TLS
	})
	return n
}

func authority(t *testing.T) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Unix(0, 0), NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return c, key
}

// security makes a certificate for whoever is asked for.
func (n *internet) security() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		parent, key := n.ca, n.key
		if n.now() == untrusted {
			parent, key = authority(n.t)
		}
		c := &x509.Certificate{
			SerialNumber: big.NewInt(2), DNSNames: []string{hello.ServerName}, NotBefore: parent.NotBefore, NotAfter: parent.NotAfter,
		}
		der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), key)
		return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
	}}
}

func (n *internet) is(t trouble) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.trouble = t
}

func (n *internet) now() trouble {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.trouble
}

// taken returns what was taken since the last call.
func (n *internet) taken() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := n.took
	n.took = nil
	return all
}

// letters returns all mails so far.
func (n *internet) letters() []envelope {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.mails)
}

func (n *internet) take(message string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.took = append(n.took, message)
}

func (n *internet) dial(_ context.Context, network, address string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if n.now() == refused {
		return nil, &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	a, b := net.Pipe()
	if n.now() == slams {
		_ = b.Close()
		return a, nil
	}
	here, there := buffered(a), buffered(b)
	switch port {
	case "25", "587":
		go n.mail(there)
	case "465":
		go n.mail(tls.Server(there, n.security()))
	case "443":
		there = tls.Server(there, n.security())
		fallthrough
	default:
		select {
		case n.conns <- there:
		case <-n.closed:
			return nil, net.ErrClosed
		}
	}
	return here, nil
}

// Accept implements net.Listener.
func (n *internet) Accept() (net.Conn, error) {
	select {
	case c := <-n.conns:
		return c, nil
	case <-n.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (n *internet) Close() error { close(n.closed); return nil }

// Addr implements net.Listener.
func (n *internet) Addr() net.Addr { return &net.TCPAddr{} }

// ServeHTTP is every service that is asked by HTTP.
func (n *internet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	what := n.now()
	switch what {
	case tooMany:
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(w, `{"ok":false,"error":true,"description":"Too Many Requests: retry later"}`)
		return
	case broken:
		http.Error(w, "<html>oops "+r.URL.String()+"</html>", http.StatusInternalServerError)
		return
	case moved:
		http.Redirect(w, r, "https://elsewhere.example"+r.URL.Path, http.StatusPermanentRedirect)
		return
	case login:
		if r.Method == http.MethodGet {
			_, _ = io.WriteString(w, "please log in")
			return
		}
		http.Redirect(w, r, "https://portal.example/login", http.StatusFound)
		return
	case mute:
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	}
	n.take(strings.Join([]string{r.Host, r.URL.RequestURI(), strings.Join(r.Header.Values("Title"), "\n"), string(body)}, "\n"))
	switch what {
	case cutsAfter:
		panic(http.ErrAbortHandler)
	case late:
		time.Sleep(time.Minute)
	case endless:
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 32<<10)); err != nil {
				return
			}
		}
		return
	}
	answerAs(w, r, body)
}

// answerAs answers as the service does when all is well.
func answerAs(w http.ResponseWriter, r *http.Request, body []byte) {
	switch host := r.Host; {
	case host == "discord.com":
		w.WriteHeader(http.StatusNoContent)
	case host == "hooks.slack.com":
		_, _ = io.WriteString(w, "ok")
	case strings.HasSuffix(r.URL.Path, "/join"):
		_, _ = io.WriteString(w, `{"room_id":"!room:matrix.example"}`)
	case host == "opsgenie.example", host == "events.pagerduty.com":
		w.WriteHeader(http.StatusAccepted)
	case strings.HasSuffix(host, "bark.example"):
		_, _ = io.WriteString(w, `{"code":200,"message":"success","timestamp":1}`)
	case host == "api.pushbullet.com":
		_, _ = io.WriteString(w, strings.Replace(string(body), "{", `{"active":true,`, 1))
	default:
		_, _ = io.WriteString(w, `{"ok":true,"id":1,"event_id":"$1","errcode":0,"code":0,"StatusCode":0}`)
	}
}

// mail is a mail server: enough of RFC 5321, with STARTTLS on port 587.
func (n *internet) mail(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	lines := textproto.NewReader(bufio.NewReader(conn))
	say := func(text string) { _, _ = io.WriteString(conn, text+"\r\n") }
	if n.now() == mute {
		_, _ = lines.ReadLine()
		return
	}
	if n.now() == tooMany {
		say("421 4.7.0 too many connections")
		return
	}
	say("220 mail.example")
	_, secure := conn.(*tls.Conn)
	var e envelope
	for {
		line, err := lines.ReadLine()
		if err != nil {
			return
		}
		switch verb, rest, _ := strings.Cut(line, " "); strings.ToUpper(verb) {
		case "EHLO":
			if !secure {
				say("250-mail.example\r\n250 STARTTLS")
				continue
			}
			say("250-mail.example\r\n250 AUTH PLAIN")
		case "STARTTLS":
			say("220 go ahead")
			secured := tls.Server(conn, n.security())
			conn, secure, lines = secured, true, textproto.NewReader(bufio.NewReader(secured))
		case "AUTH":
			say("235 2.7.0 welcome")
		case "MAIL":
			e = envelope{from: rest}
			if n.now() == broken {
				say("451 4.3.0 something broke here")
				continue
			}
			say("250 ok")
		case "RCPT":
			if n.noFor != "" && strings.Contains(rest, n.noFor) {
				say("550 5.1.1 <" + n.noFor + "> nobody of that name")
				continue
			}
			e.to = append(e.to, rest)
			say("250 ok")
		case "DATA":
			say("354 go on")
			data, err := lines.ReadDotBytes()
			if err != nil {
				return
			}
			e.data = string(data)
			n.take(e.data)
			n.mu.Lock()
			n.mails = append(n.mails, e)
			n.mu.Unlock()
			if n.now() == late {
				time.Sleep(time.Minute)
			}
			if n.now() == cutsAfter {
				return
			}
			say("250 2.0.0 taken")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("502 what?")
		}
	}
}
