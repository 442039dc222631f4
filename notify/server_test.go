package notify

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"porchlight/lab"
	"porchlight/presence"
)

// mailServer is a real one, of another maker: aiosmtpd.
type mailServer struct {
	t       *testing.T
	address string
	box     string // a Maildir
	cmd     *exec.Cmd
}

func startMailServer(t *testing.T, args ...string) *mailServer {
	t.Helper()
	path, err := exec.LookPath("aiosmtpd")
	if err != nil {
		t.Skip("aiosmtpd is not installed: apt-get install python3-aiosmtpd")
	}
	port, err := lab.Port()
	if err != nil {
		t.Fatal(err)
	}
	s := &mailServer{t: t, address: fmt.Sprintf("127.0.0.1:%d", port), box: filepath.Join(t.TempDir(), "box")}
	args = append([]string{"-n", "-l", s.address, "-c", "aiosmtpd.handlers.Mailbox"}, append(args, s.box)...)
	s.cmd = exec.Command(path, args...)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kill)
	s.eventually("the mail server", func() error {
		c, err := net.Dial("tcp", s.address)
		if err == nil {
			_ = c.Close()
		}
		return err
	})
	return s
}

func (s *mailServer) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// eventually polls what belongs to another process.
func (s *mailServer) eventually(what string, f func() error) {
	s.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); ; <-tick.C {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("waiting for %s: %v", what, err)
		}
	}
}

// mails returns the n mails that came.
func (s *mailServer) mails(n int) (all []letter) {
	s.t.Helper()
	var files []string
	s.eventually("the mails", func() (err error) {
		if files, err = filepath.Glob(filepath.Join(s.box, "new", "*")); err == nil && len(files) != n {
			err = fmt.Errorf("there are %d, want %d", len(files), n)
		}
		return err
	})
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			s.t.Fatal(err)
		}
		all = append(all, read(s.t, strings.ReplaceAll(string(b), "\r\n", "\n")))
	}
	return all
}

// TestRealMailServer mails through a real server, one by one and as a digest.
func TestRealMailServer(t *testing.T) {
	s := startMailServer(t)
	r := newRig(t, "new", func(c *Config) {
		c.URLs = "smtp://" + s.address + "/?from=porch@example.org&to=ann@example.org,bob@example.org"
	})
	run := func() (stop func()) {
		n, err := New(r.cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- n.Run(ctx) }()
		return func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	stop := run()
	r.book.log(presence.Event{Type: presence.NewDevice, ID: idOf(1), Name: "Küche\r\n.\r\nBcc: x@y.example", Vendor: strings.Repeat("ö", 2000), Why: "."})
	if l := s.mails(1)[0]; l.subject != "New device: Küche . Bcc: x@y.example" || !strings.Contains(l.text, strings.Repeat("ö", 2000)) || !strings.HasSuffix(l.text, "000000000001") {
		t.Errorf("the mail is %+v", l)
	}
	stop()
	for n := range 2 * handful {
		r.book.happen(presence.NewDevice, n)
	}
	stop = run()
	defer stop()
	digests := 0
	for _, l := range s.mails(2) {
		if strings.HasPrefix(l.subject, fmt.Sprint(2*handful, " new devices")) && strings.Count(l.html, "<tr>") == 2*handful {
			digests++
		}
	}
	if digests != 1 {
		t.Errorf("%d digests", digests)
	}
}

// TestRealMailServerSaysNo has a server that wants encryption, with a certificate
// that nobody vouches for, and then none.
func TestRealMailServerSaysNo(t *testing.T) {
	ca, key := authority(t)
	dir := t.TempDir()
	s := startMailServer(t, "--tlscert", writePEM(t, dir, "CERTIFICATE", certificateFor(t, ca, key)), "--tlskey", writePEM(t, dir, "EC PRIVATE KEY", marshal(t, key)))
	send := func(options string) error {
		services, err := ParseServices("smtp://" + s.address + "/?from=porch@example.org&to=hunter2@example.org" + options)
		if err != nil {
			t.Fatal(err)
		}
		return (&line{service: &services[0]}).send(rendered{title: "New device", text: "x", html: "<b>x</b>", id: "abc"}, func() {})
	}
	want := func(options, says string) {
		t.Helper()
		switch err := send(options); {
		case says == "" && err == nil:
		case err == nil || says == "" || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hunter2"):
			t.Errorf("with %q it says %v, want %q", options, err, says)
		}
	}
	want("", "certificate signed by unknown authority")
	want("&usestarttls=no", "the mail server answered 530 Must issue a STARTTLS command first")
	want("&skiptlsverify=yes", "")
	want("&skiptlsverify=yes&requirestarttls=yes", "")
	s.mails(2)
	s.kill()
	want("", "connection refused")
}

func certificateFor(t *testing.T, ca *x509.Certificate, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	c := &x509.Certificate{SerialNumber: big.NewInt(2), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: ca.NotBefore, NotAfter: ca.NotAfter}
	der, err := x509.CreateCertificate(rand.Reader, c, ca, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func marshal(t *testing.T, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalECPrivateKey(key)
	return must(t, der, err)
}

func writePEM(t *testing.T, dir, kind string, der []byte) (path string) {
	t.Helper()
	path = filepath.Join(dir, strings.ReplaceAll(kind, " ", "-")+".pem")
	err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
	return must(t, path, err)
}

func must[T any](t *testing.T, v T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return v
}
