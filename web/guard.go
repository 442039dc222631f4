package web

import (
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path"
	"time"
)

// guard decides who may see what.
type guard struct {
	password [sha256.Size]byte // hashed, to compare in constant time
	open     bool              // there is no password
	anyHost  bool              // whatever name it is asked for by
	failures failures
	log      *slog.Logger
}

func newGuard(password string, log *slog.Logger) *guard {
	return &guard{password: sha256.Sum256([]byte(password)), open: password == "", anyHost: password != "", log: log}
}

// policy lets the page have its style and its icon, and nothing else.
const policy = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"

// admit refuses what is nobody's business: other methods than GET and HEAD, and
// names of ours that others made up. A web site can make its own name point to
// 127.0.0.1 and have its visitors' browsers read what is there (DNS rebinding);
// where a password is asked for, it gets nothing by that.
func (g *guard) admit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		switch {
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
		case !g.anyHost && !loopback(hostOf(r)):
			http.Error(w, "use http://localhost here, or set PORCHLIGHT_WEB_PASSWORD to use another name", http.StatusMisdirectedRequest)
		case path.Clean(r.URL.Path) != r.URL.Path:
			http.NotFound(w, r) // else ServeMux redirects, to a path that a proxy does not know
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// hostOf returns the host that the client asked for, without its port.
func hostOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	if n := len(host); n > 2 && host[0] == '[' && host[n-1] == ']' {
		host = host[1 : n-1]
	}
	return host
}

// protect asks for the password.
func (g *guard) protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch g.check(r) {
		case allowed:
			next.ServeHTTP(w, r)
		case tooMany:
			w.Header().Set("Retry-After", "60")
			http.Error(w, "too many wrong passwords; try again in a minute", http.StatusTooManyRequests)
		default:
			w.Header().Set("WWW-Authenticate", `Basic realm="Porchlight", charset="UTF-8"`)
			http.Error(w, "the password is PORCHLIGHT_WEB_PASSWORD; any user name will do", http.StatusUnauthorized)
		}
	})
}

type verdict int

const (
	refused verdict = iota
	allowed
	tooMany
)

// check looks at the password of r (HTTP Basic, RFC 7617). Each attempt counts
// as a failure until it is known to be right, so that many at once gain nothing.
func (g *guard) check(r *http.Request) verdict {
	if g.open {
		return allowed
	}
	_, password, given := r.BasicAuth()
	if !given {
		return refused
	}
	from := clientOf(r)
	nth, blocked := g.failures.attempt(from, time.Now())
	if blocked {
		return tooMany
	}
	sum := sha256.Sum256([]byte(password))
	if subtle.ConstantTimeCompare(sum[:], g.password[:]) == 1 {
		g.failures.forgive(from)
		return allowed
	}
	if nth == 1 || nth == maxFailures {
		g.log.Warn("a wrong password for the page", "from", from.Addr().String(), "times", nth)
	}
	return refused
}

// clientOf returns who asks: an IPv4 address, or the /64 that an IPv6 client
// can choose its addresses from.
func clientOf(r *http.Request) netip.Prefix {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Prefix{}
	}
	addr := at.Addr().Unmap().WithZone("")
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	p, _ := addr.Prefix(bits) // valid for both
	return p
}
