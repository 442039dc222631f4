package homeassistant

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"porchlight/lab"
	"porchlight/lab/labtest"
	"porchlight/presence"
	"porchlight/scenario/daytest"

	_ "modernc.org/sqlite"
)

// Rows in the recorder are caused by those who come and go; to be heard causes
// none. The day is the one whose messages are counted elsewhere.
func TestQuietDay(t *testing.T) {
	day := daytest.Play(t, 1)
	for _, v := range []string{"2026.11.0", "2026.4.4"} {
		t.Run(v, func(t *testing.T) {
			l := labtest.StartWith(t, lab.Options{NoGateway: true})
			obs := l.Observer("lan0", lab.WithAddr(l.Static(0)))
			b := labtest.Mosquitto(t, lab.MosquittoOptions{Host: obs.Host})
			ctx, cancel := context.WithTimeout(t.Context(), 120*time.Second)
			defer cancel()
			dir := t.TempDir()
			ha, err := Start(ctx, Options{Root: "/work/main/.cache/homeassistant/root", Release: v, Host: obs.Host, Dir: dir, Configuration: people})
			if err != nil {
				t.Fatal(err)
			}
			defer ha.Close()
			if _, err := ha.AddMQTT(ctx, b.Addr()); err != nil {
				t.Fatal(err)
			}
			quietDay(ctx, t, ha, b, &day, dir)
		})
	}
}

const people = `person:
  - id: ann
    name: Ann
    device_trackers: [device_tracker.phone_with_arp_offload]
  - id: ben
    name: Ben
    device_trackers: [device_tracker.phone_sleeps_up_to_40_min]
`

func quietDay(ctx context.Context, t *testing.T, ha *Instance, b *lab.Broker, day *daytest.Day, dir string) {
	say := speaker(t, ha.opts.Host, b)
	for _, m := range day.First {
		say(m)
	}
	await := func(what string, f func() error) {
		if err := ha.poll(ctx, what, f); err != nil {
			t.Fatal(err)
		}
	}
	await("to know all devices", func() error {
		n := 0
		all, err := ha.States(ctx)
		for _, s := range all {
			if strings.HasPrefix(s.Entity, "device_tracker.") && (s.State == "home" || s.State == "not_home") {
				n++
			}
		}
		if err == nil && n < len(day.Home) {
			err = fmt.Errorf("it knows %d", n)
		}
		return err
	})
	time.Sleep(2 * time.Second)
	entities, err := ha.Entities(ctx)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	var last presence.Event
	for _, m := range day.Said {
		say(m)
		if m.Topic == daytest.Topics.Event() {
			if err := json.Unmarshal(m.Payload, &last); err != nil {
				t.Fatal(err)
			}
		}
	}
	await("to hear of the last event", func() error {
		s, err := ha.State(ctx, "event.porchlight_home_event")
		if seq := s.Attributes["seq"]; err == nil && seq != float64(last.Seq) {
			return fmt.Errorf("it knows event %v", seq)
		}
		return err
	})
	t.Log("took", time.Since(began))
	if err := ha.Stop(); err != nil {
		t.Fatal(err)
	}
	rows := rowsSince(t, dir, began)
	for _, e := range entities {
		if n := rows[e.Entity]; n > 0 {
			t.Log(e.Entity, e.Platform, n)
			delete(rows, e.Entity)
		}
	}
	t.Log(rows)
	for _, e := range ha.journal.Since(0) {
		t.Log(e)
	}
}

// speaker returns what publishes at the broker, as Porchlight did.
func speaker(t *testing.T, host *lab.Host, b *lab.Broker) func(daytest.Message) {
	t.Helper()
	o := paho.NewClientOptions().AddBroker("tcp://" + b.Addr()).SetClientID("replay").SetAutoReconnect(false).
		SetCustomOpenConnectionFn(func(*url.URL, paho.ClientOptions) (net.Conn, error) {
			return host.Dial(context.Background(), "tcp", b.Addr())
		})
	c := paho.NewClient(o)
	wait := func(token paho.Token) {
		if !token.WaitTimeout(10*time.Second) || token.Error() != nil {
			t.Fatalf("the broker does not take it: %v", token.Error())
		}
	}
	wait(c.Connect())
	t.Cleanup(func() { c.Disconnect(0) })
	return func(m daytest.Message) { wait(c.Publish(m.Topic, 1, m.Retain, m.Payload)) }
}

func rowsSince(t *testing.T, dir string, since time.Time) map[string]int {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "home-assistant_v2.db")+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	found := map[string]int{}
	for _, q := range []string{
		`SELECT m.entity_id, COUNT(*) FROM states s JOIN states_meta m ON m.metadata_id = s.metadata_id WHERE s.last_updated_ts > ? GROUP BY 1`,
		`SELECT t.event_type, COUNT(*) FROM events e JOIN event_types t ON t.event_type_id = e.event_type_id WHERE e.time_fired_ts > ? GROUP BY 1`,
	} {
		rows, err := db.Query(q, float64(since.UnixNano())/1e9)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var name string
			var n int
			if err := rows.Scan(&name, &n); err != nil {
				t.Fatal(err)
			}
			found[name] += n
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
	}
	return found
}
