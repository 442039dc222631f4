package web

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	cookieName = "porchlight"
	sessionFor = 30 * 24 * time.Hour
)

// sessions makes and checks the cookies of those who have logged in. A cookie
// says until when it is good, and is signed: nothing is kept here. Another
// password makes all of them invalid.
type sessions struct{ key []byte }

func newSessions(secret []byte, password [sha256.Size]byte) sessions {
	if len(secret) == 0 {
		secret = make([]byte, 32)
		_, _ = rand.Read(secret) // never fails (crypto/rand)
	}
	mac := hmac.New(sha256.New, secret)
	_, _ = mac.Write(password[:])
	return sessions{mac.Sum(nil)}
}

func (s sessions) sign(until []byte) []byte {
	mac := hmac.New(sha256.New, s.key)
	_, _ = mac.Write(until)
	return mac.Sum(nil)
}

// begin returns the cookie of a new session. It has no path, so that a browser
// sends it to all that is below the folder of the login page, wherever a proxy
// has put that.
func (s sessions) begin(r *http.Request, now time.Time) *http.Cookie {
	until := now.Add(sessionFor)
	b := binary.BigEndian.AppendUint64(nil, uint64(until.Unix()))
	c := cookie(r)
	c.Value = base64.RawURLEncoding.EncodeToString(append(b, s.sign(b)...))
	c.Expires = until
	return c
}

// end returns the cookie that takes the session's away.
func (s sessions) end(r *http.Request) *http.Cookie {
	c := cookie(r)
	c.MaxAge = -1
	return c
}

func cookie(r *http.Request) *http.Cookie {
	return &http.Cookie{
		Name: cookieName, HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https"),
	}
}

// valid reports whether r comes with a cookie of a session that has not ended.
func (s sessions) valid(r *http.Request, now time.Time) bool {
	for _, c := range r.CookiesNamed(cookieName) {
		b, err := base64.RawURLEncoding.Strict().DecodeString(c.Value)
		if err != nil || len(b) != 8+sha256.Size || !hmac.Equal(b[8:], s.sign(b[:8])) {
			continue
		}
		if now.Before(time.Unix(int64(binary.BigEndian.Uint64(b)), 0)) {
			return true
		}
	}
	return false
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
				refuseMany(w)
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
		http.SetCookie(w, g.sessions.end(r))
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
