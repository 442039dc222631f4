package traffic

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"porchlight/lab"
)

// certificate makes one for all servers.
func (s *stage) certificate() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		s.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "server"}, DNSNames: []string{"server"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	cert, err := x509.CreateCertificate(crand.Reader, template, template, key.Public(), key)
	if err != nil {
		s.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		s.Fatal(err)
	}
	s.write("cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}))
	s.write("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func (s *stage) write(name string, b []byte) {
	s.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), b, 0o600); err != nil {
		s.Fatal(err)
	}
}

// noiseOf returns bytes that mean nothing.
func noiseOf(n int) []byte {
	b := make([]byte, n)
	_, _ = crand.Read(b)
	return b
}

// names asks a real dnsmasq, by a real dig: over UDP and TCP, IPv4 and IPv6, on
// DNS's port and on another one, short and long answers, and names that there are not.
func (s *stage) names() {
	var asks strings.Builder
	for i := range 15 {
		fmt.Fprintf(&asks, "host%d.house A\nhost%d.house AAAA\nhost%d.house HTTPS +dnssec\n", i, i, i)
		fmt.Fprintf(&asks, "nobody%d.example MX +noedns\nlong.house TXT +bufsize=1400\n-x 10.1.2.%d\n", i, i)
		fmt.Fprintf(&asks, "%s.%s.house A\n", strings.Repeat("l", 60), strings.Repeat("m", 60))
	}
	fmt.Fprintf(&asks, ". NS\nhost1.house ANY\nversion.bind CH TXT\n")
	s.write("asks", []byte(asks.String()))
	for _, port := range []string{"53", "5300"} {
		s.serve(port, "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--log-facility=-",
			"--user=root", "--group=root", "--no-resolv", "--no-hosts", "--port="+port, "--address=/house/10.1.2.3",
			"--txt-record=long.house,"+strings.Repeat("porch ", 40)+","+strings.Repeat("light ", 40))
		for _, server := range []string{s.server.Addr().String(), s.linkLocal(s.server).String() + "%lan0"} {
			at := []string{"@" + server, "-p", port, "+tries=2", "+time=5", "-f", "asks"}
			s.run(s.machine, nil, "dig", at...)
			s.run(s.machine, nil, "dig", append(at, "+tcp")...)
			s.run(s.machine, nil, "dig", append(at, "+tcp", "+keepopen")...)
		}
	}
}

// mail takes a connection that turns to TLS after a while.
func (s *stage) mail() {
	s.serve("25", "aiosmtpd", "-n", "-l", s.server.Addr().String()+":25", "--tlscert", "cert.pem", "--tlskey", "key.pem")
	letter := strings.Repeat("It is warm here, and the light is on.\r\n", 2000)
	said := "EHLO here\r\nMAIL FROM:<ann@house>\r\nRCPT TO:<bob@house>\r\nDATA\r\n" + letter + ".\r\nQUIT\r\n"
	s.run(s.machine, strings.NewReader(said), "openssl", "s_client", "-connect", s.server.Addr().String()+":25",
		"-starttls", "smtp", "-quiet")
}

// tls fetches files from a real openssl by a real openssl, by both versions in use,
// on HTTPS's port and another one.
func (s *stage) tls() {
	s.write("large", noiseOf(1_500_000))
	s.write("small", noiseOf(700))
	for _, port := range []string{"443", "9999"} {
		s.serve(port, "openssl", "s_server", "-accept", port, "-cert", "cert.pem", "-key", "key.pem", "-WWW", "-quiet")
		for _, version := range []string{"-tls1_2", "-tls1_3"} {
			for file, size := range map[string]int{"large": 1_500_000, "small": 700} {
				at := s.server.Addr().String()
				if file == "small" {
					at = "[" + s.linkLocal(s.server).String() + "%lan0]"
				}
				got := s.run(s.machine, strings.NewReader("GET /"+file+" HTTP/1.0\r\n\r\n"), "openssl", "s_client",
					"-connect", at+":"+port, version, "-quiet", "-ign_eof")
				if len(got) < size {
					s.Fatalf("got %d bytes of the file %s", len(got), file)
				}
			}
		}
	}
}

// quic fetches data over several streams of several connections, by both versions
// in use, on HTTPS's port and another one.
func (s *stage) quic() {
	cert, err := tls.LoadX509KeyPair(filepath.Join(s.dir, "cert.pem"), filepath.Join(s.dir, "key.pem"))
	if err != nil {
		s.Fatal(err)
	}
	for _, port := range []uint16{443, 4567} {
		server := &quic.Transport{
			Conn:                s.socket(s.server, port),
			VerifySourceAddress: func(net.Addr) bool { return port != 443 }, // by a Retry
		}
		l, err := server.Listen(&tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"x"}},
			&quic.Config{Versions: []quic.Version{quic.Version1, quic.Version2}})
		if err != nil {
			s.Fatal(err)
		}
		var serving sync.WaitGroup
		serving.Go(func() {
			for {
				c, err := l.Accept(s.ctx)
				if err != nil {
					return
				}
				serving.Go(func() { answerAll(c) })
			}
		})
		for _, version := range []quic.Version{quic.Version1, quic.Version2} {
			for _, size := range []uint32{500, 20_000, 800_000} {
				s.fetch(netip.AddrPortFrom(s.server.Addr(), port), version, size)
			}
		}
		for _, c := range []io.Closer{l, server, server.Conn} {
			_ = c.Close()
		}
		serving.Wait()
	}
}

// answerAll sends as much as each stream asks for.
func answerAll(c *quic.Conn) {
	for {
		stream, err := c.AcceptStream(c.Context())
		if err != nil {
			return
		}
		var size [4]byte
		if _, err := io.ReadFull(stream, size[:]); err == nil {
			_, _ = stream.Write(noiseOf(int(binary.BigEndian.Uint32(size[:]))))
		}
		_ = stream.Close()
	}
}

// fetch opens a connection, asks for size bytes on each of three streams, and
// closes it.
func (s *stage) fetch(from netip.AddrPort, version quic.Version, size uint32) {
	client := &quic.Transport{Conn: s.socket(s.machine, 0)}
	defer client.Conn.Close()
	defer client.Close()
	c, err := client.Dial(s.ctx, net.UDPAddrFromAddrPort(from),
		&tls.Config{InsecureSkipVerify: true, NextProtos: []string{"x"}}, //nolint:gosec // of the test
		&quic.Config{Versions: []quic.Version{version}})
	if err != nil {
		s.Fatal(err)
	}
	for range 3 {
		stream, err := c.OpenStreamSync(s.ctx)
		if err != nil {
			s.Fatal(err)
		}
		if _, err := stream.Write(binary.BigEndian.AppendUint32(nil, size)); err != nil {
			s.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, stream); err != nil || n != int64(size) {
			s.Fatalf("got %d bytes of %d over QUIC: %v", n, size, err)
		}
		_ = stream.Close()
	}
	_ = c.CloseWithError(0, "")
}

// socket opens one for datagrams in the host's namespace.
func (s *stage) socket(h *lab.Host, port uint16) (c *net.UDPConn) {
	s.Helper()
	err := h.Do(func() (err error) {
		c, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(h.Addr(), port)))
		return err
	})
	if err != nil {
		s.Fatal(err)
	}
	return c
}

// noise sends datagrams that are none of the three, among them on their ports.
func (s *stage) noise() {
	for port, make := range map[uint16]func(i int) []byte{
		123: func(int) []byte { return append([]byte{0x23, 0, 10, 0xe9}, noiseOf(44)...) }, // NTP
		5004: func(i int) []byte { // RTP
			b := []byte{0x80, 96, byte(i >> 8), byte(i), 0, byte(i >> 8), byte(i), 0, 1, 2, 3, 4}
			return append(b, noiseOf(160)...)
		},
		51820: func(i int) []byte { // WireGuard
			b := append([]byte{4, 0, 0, 0, 9, 8, 7, 6}, binary.LittleEndian.AppendUint64(nil, uint64(i))...)
			return append(b, noiseOf(16*rand.IntN(80))...)
		},
		3478: func(int) []byte { // STUN
			return append([]byte{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42}, noiseOf(12)...)
		},
		27015: func(int) []byte { return noiseOf(1 + rand.IntN(1300)) },
		8443:  func(int) []byte { return noiseOf(1250) },
	} {
		from, to := s.socket(s.machine, 0), s.socket(s.server, port)
		for i := range 300 {
			if _, err := from.WriteToUDPAddrPort(make(i), to.LocalAddr().(*net.UDPAddr).AddrPort()); err != nil {
				s.Fatal(err)
			}
			if _, err := to.WriteToUDPAddrPort(make(i), from.LocalAddr().(*net.UDPAddr).AddrPort()); err != nil {
				s.Fatal(err)
			}
		}
		_ = from.Close()
		_ = to.Close()
	}
	// To nobody: the answer is ICMP, with a part of the datagram.
	from := s.socket(s.machine, 0)
	defer from.Close()
	if _, err := from.WriteToUDPAddrPort(noiseOf(100), netip.AddrPortFrom(s.server.Addr(), 9)); err != nil {
		s.Fatal(err)
	}
}

// plainTCP sends what is not encrypted, and what looks so and is not TLS.
func (s *stage) plainTCP() {
	var l net.Listener
	err := s.server.Do(func() (err error) {
		l, err = net.Listen("tcp", s.server.Addr().String()+":8080")
		return err
	})
	if err != nil {
		s.Fatal(err)
	}
	defer l.Close()
	for _, answer := range [][]byte{noiseOf(1_500_000), bytes.Repeat([]byte("<p>It is warm here.</p>\n"), 20_000)} {
		c, err := s.machine.Dial(s.ctx, "tcp", l.Addr().String())
		if err != nil {
			s.Fatal(err)
		}
		far, err := l.Accept()
		if err != nil {
			s.Fatal(err)
		}
		const ask = "GET / HTTP/1.0\r\n\r\n"
		if _, err := c.Write([]byte(ask)); err != nil {
			s.Fatal(err)
		}
		var answering sync.WaitGroup
		answering.Go(func() {
			_, _ = io.ReadFull(far, make([]byte, len(ask)))
			_, _ = far.Write(append([]byte("HTTP/1.0 200 OK\r\n\r\n"), answer...))
			_ = far.Close()
		})
		if n, err := io.Copy(io.Discard, c); err != nil || n < int64(len(answer)) {
			s.Fatalf("got %d bytes: %v", n, err)
		}
		answering.Wait()
		_ = c.Close()
	}
}
