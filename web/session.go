package web

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	cookieName = "porchlight"
	sessionFor = 30 * 24 * time.Hour
)

// sessions makes and checks the cookies of those who have logged in. A cookie
// says until when it is good, and is signed: of those that are good nothing is
// kept here. Another password makes all of them invalid.
type sessions struct {
	key []byte

	mu    sync.Mutex
	ended map[string]time.Time // values of cookies that were logged out of, and until when they are good
}

// maxEnded is how many are remembered that were logged out of, until the next
// start.
const maxEnded = 1000

// A cookie's value is until when it is good, in seconds (8 bytes), a number that
// no other has, and what they are signed with.
const (
	nonceLength  = 8
	signedLength = 8 + nonceLength
)

func newSessions(secret []byte, password [sha256.Size]byte) *sessions {
	if len(secret) == 0 {
		secret = make([]byte, 32)
		_, _ = rand.Read(secret) // never fails (crypto/rand)
	}
	mac := hmac.New(sha256.New, secret)
	_, _ = mac.Write(password[:])
	return &sessions{key: mac.Sum(nil), ended: map[string]time.Time{}}
}

func (s *sessions) sign(until []byte) []byte {
	mac := hmac.New(sha256.New, s.key)
	_, _ = mac.Write(until)
	return mac.Sum(nil)
}

// begin returns the cookie of a new session. It has no path, so that a browser
// sends it to all that is below the folder of the login page, wherever a proxy
// has put that.
func (s *sessions) begin(r *http.Request, now time.Time) *http.Cookie {
	until := now.Add(sessionFor)
	b := binary.BigEndian.AppendUint64(nil, uint64(until.Unix()))
	b = append(b, make([]byte, nonceLength)...)
	_, _ = rand.Read(b[8:]) // never fails (crypto/rand)
	c := cookie(r)
	c.Value = base64.RawURLEncoding.EncodeToString(append(b, s.sign(b)...))
	c.Expires = until
	return c
}

// end ends the session of r, and returns the cookie that takes its own away.
func (s *sessions) end(r *http.Request, now time.Time) *http.Cookie {
	for _, c := range r.CookiesNamed(cookieName) {
		if until, ok := s.read(c.Value); ok && now.Before(until) {
			s.forget(c.Value, until, now)
		}
	}
	c := cookie(r)
	c.MaxAge = -1
	return c
}

// forget has a cookie be good no more, also for who has a copy.
func (s *sessions) forget(value string, until, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.ended, func(_ string, until time.Time) bool { return !now.Before(until) })
	if len(s.ended) < maxEnded {
		s.ended[value] = until
	}
}

func cookie(r *http.Request) *http.Cookie {
	return &http.Cookie{
		Name: cookieName, HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https"),
	}
}

// valid reports whether r comes with a cookie of a session that has not ended.
func (s *sessions) valid(r *http.Request, now time.Time) bool {
	for _, c := range r.CookiesNamed(cookieName) {
		if until, ok := s.read(c.Value); ok && now.Before(until) && !s.isEnded(c.Value) {
			return true
		}
	}
	return false
}

// read returns until when a cookie is good, if it is one of ours.
func (s *sessions) read(value string) (until time.Time, ok bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(value)
	if err != nil || len(b) != signedLength+sha256.Size || !hmac.Equal(b[signedLength:], s.sign(b[:signedLength])) {
		return until, false
	}
	return time.Unix(int64(binary.BigEndian.Uint64(b)), 0), true
}

func (s *sessions) isEnded(value string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ended := s.ended[value]
	return ended
}

// loginPage asks for the password, and lets in who knows it.
func (p *pages) loginPage(g *guard) http.Handler {
	type login struct {
		layout
		Next  string
		Wrong bool
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next := localURL(r.FormValue("next"))
		v := login{layout: p.layout(r, "Log in", ""), Next: next}
		if g.open {
			seeOther(w, "./")
			return
		}
		status := http.StatusOK
		if r.Method == http.MethodPost {
			switch g.try(r, r.PostFormValue("password")) {
			case allowed:
				http.SetCookie(w, g.sessions.begin(r, time.Now()))
				seeOther(w, next)
				return
			case tooMany:
				refuseMany(w, r)
				return
			}
			status, v.Wrong = http.StatusUnauthorized, true
		}
		p.render(w, status, "login.html", v)
	})
}

// logout ends the session.
func logout(g *guard) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, g.sessions.end(r, time.Now()))
		seeOther(w, "login")
	})
}

// nextOf is where who asked for r goes after the login, relative to the root.
func nextOf(r *http.Request) string {
	next := strings.TrimPrefix(r.URL.Path, "/")
	if r.URL.RawQuery != "" {
		next += "?" + r.URL.RawQuery
	}
	return next
}

// localURL returns a relative URL below the root, or the root when s is not one:
// nobody can make a login that leads elsewhere.
func localURL(s string) string {
	u, err := url.Parse(s)
	if err != nil || len(s) > 1024 || u.Scheme != "" || u.Host != "" || u.Opaque != "" ||
		strings.HasPrefix(s, "/") || strings.ContainsAny(s, "\\\r\n\t") || strings.Contains(u.Path, "..") {
		return "./"
	}
	return "./" + s
}

// seeOther sends the browser on by GET (RFC 9110, section 15.4.4). The URL is
// relative, as only the browser knows what a proxy has put before it.
func seeOther(w http.ResponseWriter, to string) {
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}
