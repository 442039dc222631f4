package lab

// Observer is the host that Porchlight runs on: as a child (Command with
// os.Executable), since goroutines do not inherit a namespace from Do. Dial
// reaches what it serves there.
type Observer struct{ *Host }

// Observer connects an observer whose interface has the given name, "lan0" by
// default. It has no address unless WithAddr gives one.
func (l *Lab) Observer(iface string, opts ...HostOption) (*Observer, error) {
	if iface == "" {
		iface = "lan0"
	}
	h, err := l.newHost(iface, configure(iface, opts))
	if err != nil {
		return nil, err
	}
	if err := l.adopt(h); err != nil {
		_ = h.Close()
		return nil, err
	}
	return &Observer{h}, nil
}
