package attendance

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/godbus/dbus/v5"
)

// The names are those of org.freedesktop.login1(5).
const (
	login      = "org.freedesktop.login1"
	loginPath  = "/org/freedesktop/login1"
	properties = "org.freedesktop.DBus.Properties"
)

// classes are those of the sessions of people; others are of log-in screens, of
// services, and of users whose homes are still locked.
var classes = []string{"user", "user-early", "user-light", "user-early-light"}

// news are the signals after which someone may have come or gone: a session begins
// or ends, changes, or logind itself begins or ends.
var news = [][]dbus.MatchOption{
	{dbus.WithMatchSender(login), dbus.WithMatchInterface(login + ".Manager")},
	{
		dbus.WithMatchSender(login), dbus.WithMatchInterface(properties), dbus.WithMatchMember("PropertiesChanged"),
		dbus.WithMatchPathNamespace(loginPath), dbus.WithMatchArg(0, login+".Session"),
	},
	{
		dbus.WithMatchSender("org.freedesktop.DBus"), dbus.WithMatchInterface("org.freedesktop.DBus"),
		dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, login),
	},
}

// listed is one session in the answer of ListSessions.
type listed struct {
	ID   string
	UID  uint32
	User string
	Seat string
	Path dbus.ObjectPath
}

// attended asks logind whether someone is at the machine.
func attended(ctx context.Context, bus *dbus.Conn) (bool, error) {
	var sessions []listed
	err := bus.Object(login, loginPath).CallWithContext(ctx, login+".Manager.ListSessions", 0).Store(&sessions)
	if err != nil {
		return false, fmt.Errorf("asking logind for the sessions: %w", err)
	}
	for _, s := range sessions {
		if s.Seat == "" {
			continue
		}
		var p map[string]dbus.Variant
		err := bus.Object(login, s.Path).CallWithContext(ctx, properties+".GetAll", 0, login+".Session").Store(&p)
		if gone(err) {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("asking logind about session %q: %w", s.ID, err)
		}
		if present(p) {
			return true, nil
		}
	}
	return false, nil
}

// present reports whether a session of these properties is that of someone who is
// there. One who has logged out may have left programs running, as in tmux: such a
// session is still in the foreground, until another one is, but it is closing.
func present(p map[string]dbus.Variant) bool {
	is := func(name string) bool {
		b, _ := p[name].Value().(bool)
		return b
	}
	class, _ := p["Class"].Value().(string)
	state, _ := p["State"].Value().(string)
	return is("Active") && !is("Remote") && !is("LockedHint") && state != "closing" && slices.Contains(classes, class)
}

// gone reports whether err is that of a session which has just ended.
func gone(err error) bool {
	var e dbus.Error
	return errors.As(err, &e) && (e.Name == "org.freedesktop.DBus.Error.UnknownObject" || e.Name == login+".NoSuchSession")
}
