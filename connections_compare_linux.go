package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/term"

	"porchlight/capture"
	"porchlight/connections"
	"porchlight/flows"
	"porchlight/presence"
)

type connectionsCompareCmd struct {
	form
	Dump  string       `arg:"" help:"The dump of tcpdump or Wireshark (pcap or pcapng, also packed with gzip or zstd); - for standard input."`
	Now   bool         `help:"Look at the connections of now too, as after the snapshots."`
	From  int64        `placeholder:"N" help:"The first snapshot to look at; without it one before the dump."`
	To    int64        `placeholder:"N" help:"The last one; without it one after the dump."`
	Local []netip.Addr `placeholder:"ADDRESS" help:"An address that this machine had, if neither a snapshot nor the machine of now has it."`
	Only  []string     `enum:"unexplained,others,idle,explained,portless" placeholder:"GROUP" help:"Only this group: unexplained, others, idle, explained or portless."`
	Rows  int          `default:"50" placeholder:"N" help:"How many rows of each group the table has at most; 0 for all."`
}

// Run says what explains the flows of a dump.
func (c connectionsCompareCmd) Run(a *app) error {
	store, err := c.snapshots(a)
	if err != nil {
		return err
	}
	if store != nil {
		defer func() { _ = store.Close() }()
	}
	dump, broken := c.read(a)
	if dump == nil || a.ctx.Err() != nil {
		return broken
	}
	look := &looker{app: a}
	look.tell(dump.Notes())
	report, err := c.explain(look, store, dump)
	if err != nil {
		return err
	}
	look.tell(report.Notes)
	if err := c.print(a, dump, report); err != nil {
		return err
	}
	return broken
}

// snapshots opens those that are stored. With --now there need not be any.
func (c connectionsCompareCmd) snapshots(a *app) (*connections.Store, error) {
	store, err := a.snapshots(false)
	if errors.Is(err, connections.ErrEmpty) {
		if c.Now {
			return nil, nil
		}
		return nil, fmt.Errorf("%w; --now compares the dump with the connections of now", err)
	}
	return store, err
}

// read reads the dump. What there was before an error is returned with it.
func (c connectionsCompareCmd) read(a *app) (*flows.Dump, error) {
	file, err := capture.OpenAny(c.Dump)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	size := int64(0)
	if info, err := os.Stat(c.Dump); err == nil {
		size = info.Size()
	}
	return flows.Read(a.ctx, file, readBar(a.stderr, size))
}

// explain takes the snapshots of the dump's time.
func (c connectionsCompareCmd) explain(look *looker, store *connections.Store, dump *flows.Dump) (*flows.Report, error) {
	var all []connections.Entry
	if store != nil {
		var err error
		if all, err = store.List(look.ctx); err != nil {
			return nil, err
		}
	}
	within := c.within(all)
	if len(within) == 0 && len(all) > 0 && !c.Now {
		return nil, fmt.Errorf("--from and --to leave no snapshot: those that are stored have the numbers %d to %d", all[0].Number, all[len(all)-1].Number)
	}
	chosen, reach := flows.Choose(within, dump.From, dump.To)
	look.tell(far(all, chosen, dump))
	e := flows.NewExplainer(dump, append(ownAddresses(), c.Local...), reach)
	if len(chosen) > 0 {
		err := store.Each(look.ctx, chosen[0].Number, chosen[len(chosen)-1].Number, func(s *connections.Snapshot) error {
			e.Add(s)
			return look.ctx.Err()
		})
		if err != nil {
			return nil, err
		}
	}
	if c.Now {
		s, err := look.take()
		if err != nil {
			return nil, err
		}
		e.Add(s)
	}
	return e.Report(connections.Now()), nil
}

// within are the snapshots that may be looked at.
func (c connectionsCompareCmd) within(all []connections.Entry) (some []connections.Entry) {
	for _, e := range all {
		if e.Number >= c.From && (c.To == 0 || e.Number <= c.To) {
			some = append(some, e)
		}
	}
	return some
}

// far says so when no snapshot is of the dump's time.
func far(all, chosen []connections.Entry, dump *flows.Dump) []string {
	if dump.Packets == 0 {
		return nil
	}
	var nearest []string
	for _, e := range chosen {
		switch {
		case e.Time.Before(dump.From):
			nearest = append(nearest, fmt.Sprintf("snapshot %d was taken %s before it", e.Number, presence.Words(dump.From.Sub(e.Time))))
		case e.Time.After(dump.To):
			nearest = append(nearest, fmt.Sprintf("snapshot %d was taken %s after it", e.Number, presence.Words(e.Time.Sub(dump.To))))
		default:
			return nil
		}
	}
	text := fmt.Sprintf("no snapshot is from the time of the dump, %s to %s", when(dump.From), when(dump.To))
	if len(all) > 0 {
		text += fmt.Sprintf("; those that are stored (%d) are from %s to %s", len(all), when(all[0].Time), when(all[len(all)-1].Time))
	}
	return append(append([]string{text}, nearest...), "PORCHLIGHT_CONNECTIONS_INTERVAL=30s has the running Porchlight store one every 30 seconds")
}

// ownAddresses are those of this machine now; what cannot be listed is none.
func ownAddresses() (all []netip.Addr) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			all = append(all, p.Addr().Unmap())
		}
	}
	return all
}

// readBar draws how much of a file was read, on a terminal only.
func readBar(w io.Writer, size int64) flows.Progress {
	f, ok := w.(*os.File)
	if !ok || size <= 0 || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return drawRead(f, size)
}

func drawRead(w io.Writer, size int64) flows.Progress {
	began, drawn := time.Now(), time.Time{}
	return func(read int64) {
		done := read >= size
		if time.Since(drawn) < 100*time.Millisecond && !done {
			return
		}
		drawn = time.Now()
		speed := float64(read) / max(time.Since(began).Seconds(), 1e-3)
		_, _ = fmt.Fprintf(w, "\r[%s] %s of %s, %s/s ", barText(int(read>>10), int(size>>10)), bytesText(uint64(read)), bytesText(uint64(size)), bytesText(uint64(speed)))
		if done {
			_, _ = fmt.Fprint(w, "\r\033[K")
		}
	}
}
