package traffic

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"porchlight/compact"
)

// household is a round as a busy home server has them: 3 interfaces, 8 protocols,
// 10 hosts, 10 devices, 40 ports with their programs.
func household(n int) Round {
	r := rand.New(rand.NewPCG(uint64(n), 1))
	some := func(most uint64) Count {
		p := 1 + r.Uint64N(most)
		return Count{p, p * (60 + r.Uint64N(1300))}
	}
	round := Round{Start: noon.Add(time.Duration(n) * time.Minute), Length: time.Minute, Counted: time.Minute, Counts: map[Key]Count{}}
	for _, name := range []string{"eth0", "wlan0", "docker0"} {
		for _, p := range Protocols()[:8] {
			round.Counts[Key{name, p, In}], round.Counts[Key{name, p, Out}] = some(20000), some(20000)
		}
	}
	for i := range 10 {
		a := [4]byte{byte(1 + r.IntN(220)), byte(r.IntN(256)), byte(r.IntN(256)), byte(r.IntN(256))}
		host := Talker{Addr: netip.AddrFrom4(a), In: some(9000), Out: some(9000)}
		if i%3 == 0 {
			host.Addr = netip.AddrFrom16([16]byte{0x26, 0x06, 0x47, 0, a[0], a[1], 14: a[2], 15: a[3]})
		}
		round.Hosts = append(round.Hosts, host)
		round.Devices = append(round.Devices, Talker{Device: fmt.Sprintf("Device %d of the house", 6*i+r.IntN(6)), In: some(3000), Out: some(3000)})
	}
	for i := range 40 {
		round.Ports = append(round.Ports, Port{[]string{"tcp", "udp"}[i%2], uint16(22 + 211*i), fmt.Sprintf("program%d", i/2), time.Minute})
	}
	return Merge([]Round{round})
}

func TestStoredRound(t *testing.T) {
	busy := household(1)
	busy.Dropped, busy.Counted = 1<<40, 17*time.Second
	busy.Hosts = append(busy.Hosts, Talker{Addr: netip.MustParseAddr("fe80::1%eth0")})
	for name, want := range map[string]Round{
		"empty": {}, "busy": busy, "merged": Merge([]Round{household(1), household(2), household(60)}),
	} {
		data, err := want.encode()
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d bytes", name, len(data))
		got := Round{Start: want.Start, Length: want.Length}
		if err := got.decode(data); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got, sameRounds); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// FuzzStoredRound: a damaged file is told, and what can be read is what would be
// written. The bytes are what a row holds, compressed and not.
func FuzzStoredRound(f *testing.F) {
	for _, r := range []Round{{}, household(1), Merge([]Round{household(1), household(2)})} {
		data, _ := r.encode()
		f.Add(data)
		plain, _ := compact.Inflate(data)
		f.Add(plain)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		packed, err := compact.Deflate(b)
		if err != nil {
			t.Fatal(err)
		}
		for _, stored := range [][]byte{b, packed} {
			var r, again Round
			if err := r.decode(stored); err != nil {
				if !errors.Is(err, compact.ErrDamaged) {
					t.Error(err)
				}
				continue
			}
			data, err := r.encode()
			if err != nil {
				t.Fatal(err)
			}
			if err := again.decode(data); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(r, again, sameRounds); diff != "" {
				t.Error(diff)
			}
			r.Length = time.Hour // and it can be added up
			if n := len(Bucket([]Round{r}, r.Start, r.Start.Add(time.Hour), 7*time.Minute)); n != 9 {
				t.Errorf("%d buckets", n)
			}
		}
	})
}
