// Package labtest raises a lab for a test, and fails the test when it cannot.
//
//	l := labtest.Start(t)
//	obs := l.Observer("lan0")
//	phone := l.Client("phone", lab.PrivateMAC)
//	l.Must(phone.Join(t.Context()))
package labtest

import (
	"context"
	"errors"
	"testing"
	"time"

	"porchlight/lab"
)

// Lab is a lab.Lab that ends with its test.
type Lab struct {
	*lab.Lab
	tb testing.TB
}

// patience is how long to wait for what takes a moment, seconds on a busy machine.
const patience = time.Minute

// Start raises a LAN with the default options. It skips the test when it does
// not run as root, or when a program that the lab needs is not installed.
func Start(tb testing.TB) *Lab {
	tb.Helper()
	return StartWith(tb, lab.Options{})
}

// StartWith raises a LAN.
func StartWith(tb testing.TB, opts lab.Options) *Lab {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	l, err := lab.New(ctx, opts)
	skipUnlessPossible(tb, err)
	if err != nil {
		tb.Fatalf("raising the lab: %v", err)
	}
	tb.Cleanup(func() { _ = l.Close() })
	return &Lab{l, tb}
}

func skipUnlessPossible(tb testing.TB, err error) {
	tb.Helper()
	if errors.Is(err, lab.ErrNeedsRoot) || errors.Is(err, lab.ErrNoProgram) {
		tb.Skip(err)
	}
}

// Must fails the test when err is not nil. Like all of Lab's methods it is for
// the test's own goroutine.
func (l *Lab) Must(err error) {
	l.tb.Helper()
	if err != nil {
		l.tb.Fatal(err)
	}
}

// Observer connects an observer.
func (l *Lab) Observer(iface string, opts ...lab.HostOption) *lab.Observer {
	l.tb.Helper()
	o, err := l.Lab.Observer(iface, opts...)
	l.Must(err)
	return o
}

// Attach connects a machine of another lab to this one by one more interface.
func (l *Lab) Attach(h *lab.Host, iface string, opts ...lab.HostOption) *lab.Host {
	l.tb.Helper()
	a, err := l.Lab.Attach(h, iface, opts...)
	l.Must(err)
	return a
}

// Client makes a client, which is away until it joins.
func (l *Lab) Client(name string, opts ...lab.HostOption) *lab.Client {
	l.tb.Helper()
	c, err := l.Lab.Client(name, opts...)
	l.Must(err)
	return c
}

// Population connects a population of n devices with the first static addresses.
func (l *Lab) Population(n int, b lab.Behaviour) *lab.Population {
	l.tb.Helper()
	p, err := l.Lab.Population()
	l.Must(err)
	if n > 0 {
		_, err = p.AddMany(n, l.Static(0), b)
		l.Must(err)
	}
	return p
}

// Mosquitto starts a broker that ends with the test.
func Mosquitto(tb testing.TB, opts lab.MosquittoOptions) *lab.Broker {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	b, err := lab.Mosquitto(ctx, opts)
	skipUnlessPossible(tb, err)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = b.Close() })
	return b
}
