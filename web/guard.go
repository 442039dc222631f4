package web

import (
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
)

// guard decides who may see what.
type guard struct {
	password [sha256.Size]byte // hashed, to compare in constant time
	open     bool              // there is no password
	anyHost  bool              // whatever name it is asked for by
	hosts    []string          // the names that it may be asked for by, besides addresses
	sessions *sessions
	failures failures
	log      *slog.Logger
}

func newGuard(cfg Config) *guard {
	sum := sha256.Sum256([]byte(cfg.Password))
	return &guard{
		password: sum, open: cfg.Password == "", hosts: cfg.Hosts,
		sessions: newSessions(cfg.Secret, sum), log: cfg.Log,
	}
}

// policy lets the page have its own style, script, pictures and live stream, send
// its own forms, and nothing else.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'self'; frame-ancestors 'self'"

// admit refuses what is nobody's business: names of ours that others made up, and
// changes that another web site asks for. A web site can make its own name point
// to this machine and have its visitors' browsers read what is there (DNS
// rebinding), so a name must be known; an address cannot be made up.
func (g *guard) admit(next http.Handler) http.Handler {
	sameOrigin := http.NewCrossOriginProtection().Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		switch {
		case path.Clean(r.URL.Path) != r.URL.Path:
			http.NotFound(w, r) // else ServeMux redirects, to a path that a proxy does not know
		case !g.knows(hostOf(r)) && !forProbes(r.URL.Path):
			refuse(w, r, http.StatusMisdirectedRequest, g.unknownHost())
		case r.ContentLength > maxBody:
			w.Header().Set("Connection", "close") // it is not read
			refuse(w, r, http.StatusRequestEntityTooLarge, "the body is too long")
		default:
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
			sameOrigin.ServeHTTP(w, r)
		}
	})
}

// knows reports whether the page may be asked for by this name or address.
func (g *guard) knows(host string) bool {
	if g.anyHost || loopback(host) {
		return true
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return !g.open
	}
	return !g.open && slices.ContainsFunc(g.hosts, func(known string) bool {
		return strings.EqualFold(strings.TrimSuffix(host, "."), known)
	})
}

func (g *guard) unknownHost() string {
	if g.open {
		return "use http://localhost here, or set PORCHLIGHT_WEB_PASSWORD to use another name"
	}
	return "this name is not known here: use the address, or add the name to PORCHLIGHT_WEB_HOSTS"
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

// protect lets those in who have logged in, or who give the password with the
// request, as programs do. A browser is sent to log in.
func (g *guard) protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch g.check(r) {
		case allowed:
			next.ServeHTTP(w, r)
		case tooMany:
			refuseMany(w, r)
		default:
			if wantsPage(r) {
				w.Header().Set("Location", rootOf(r)+"login?"+url.Values{"next": {nextOf(r)}}.Encode())
				w.WriteHeader(http.StatusSeeOther)
				return
			}
			w.Header().Set("WWW-Authenticate", `Basic realm="Porchlight", charset="UTF-8"`)
			refuse(w, r, http.StatusUnauthorized, "the password is PORCHLIGHT_WEB_PASSWORD; any user name will do")
		}
	})
}

func refuseMany(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Retry-After", "60")
	refuse(w, r, http.StatusTooManyRequests, "too many wrong passwords; try again in a minute")
}

// refuse says why in one line, to programs as the API does.
func refuse(w http.ResponseWriter, r *http.Request, status int, why string) {
	if strings.HasPrefix(r.URL.Path, "/api/") {
		writeJSON(w, status, map[string]string{"error": why})
		return
	}
	http.Error(w, why, status)
}

// wantsPage reports whether a person in a browser asks for a page to look at.
func wantsPage(r *http.Request) bool {
	_, _, basic := r.BasicAuth()
	return !basic && r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html")
}

type verdict int

const (
	refused verdict = iota
	allowed
	tooMany
)

// check looks at the session of r, or else at its password (HTTP Basic, RFC 7617).
func (g *guard) check(r *http.Request) verdict {
	if g.open || g.sessions.valid(r, time.Now()) {
		return allowed
	}
	_, password, given := r.BasicAuth()
	if !given {
		return refused
	}
	return g.try(r, password)
}

// try looks at a password. Each attempt counts as a failure until it is known to
// be right, so that many at once gain nothing.
func (g *guard) try(r *http.Request, password string) verdict {
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

// clientOf returns who asks.
func clientOf(r *http.Request) netip.Prefix { return clientAt(r.RemoteAddr) }

// clientAt returns who is at an address and port: an IPv4 address, or the /64
// that an IPv6 client can choose its addresses from.
func clientAt(remote string) netip.Prefix {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	addr := at.Addr().Unmap().WithZone("")
	bits := addr.BitLen()
	if addr.Is6() && !addr.IsLoopback() {
		bits = 64
	}
	p, _ := addr.Prefix(bits) // valid for both
	return p
}
