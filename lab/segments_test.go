package lab_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"porchlight/lab"
	"porchlight/lab/labtest"
)

// A machine is in two segments at once, and a client moves between them: it
// gets its address of each one's own server, and nothing of one segment is heard
// in the other.
func TestSegments(t *testing.T) {
	ctx := inTime(t)
	upstairs := labtest.Start(t)
	cellar := labtest.StartWith(t, lab.Options{Prefix: netip.MustParsePrefix("10.78.0.0/24")})
	obs := upstairs.Observer("lan0", lab.WithAddr(upstairs.Static(0)))
	second := cellar.Attach(obs.Host, "lan1", lab.WithAddr(cellar.Static(0)))
	people := cellar.Population(3, lab.Behaviour{})
	people.Record(true)

	phone := upstairs.Client("phone")
	upstairs.Must(phone.Join(ctx))
	if a := phone.Addr(); !upstairs.Prefix().Contains(a) {
		t.Errorf("upstairs the phone has %v", a)
	}
	mac := phone.MAC()
	upstairs.Must(phone.Move(cellar.Lab))
	upstairs.Must(phone.Join(ctx))
	if a := phone.Addr(); !cellar.Prefix().Contains(a) || phone.MAC() != mac {
		t.Errorf("in the cellar the phone has %v, and the MAC %v", a, phone.MAC())
	}
	_, err := phone.Announce()
	cellar.Must(err)
	// A refusal comes from who is there.
	reached := func(within time.Duration, to netip.Addr) error {
		ctx, cancel := context.WithTimeout(ctx, within)
		defer cancel()
		_, err := obs.Dial(ctx, "tcp", netip.AddrPortFrom(to, 9).String())
		return err
	}
	if err := reached(patience, phone.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("the machine does not reach the phone in the cellar: %v", err)
	}
	cellar.Must(second.Unplug())
	if err := reached(500*time.Millisecond, phone.Addr()); err == nil || errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("the machine reaches the phone without the cable to the cellar: %v", err)
	}
	if err := reached(patience, upstairs.Gateway().Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("upstairs is not reached: %v", err)
	}
	for _, r := range people.Requests() {
		if upstairs.Prefix().Contains(r.Addr) {
			t.Errorf("the cellar heard a request for %v", r.Addr)
		}
	}
	cellar.Must(second.Close())
	if out, err := obs.Command(ctx, "ip", "-o", "link").CombinedOutput(); err != nil || strings.Contains(string(out), "lan1") {
		t.Errorf("it has %s (%v)", out, err)
	}
}
