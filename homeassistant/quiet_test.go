package homeassistant

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"porchlight/presence"
	"porchlight/scenario/daytest"

	_ "modernc.org/sqlite"
)

// quietPeople are two of those who carry the phones about.
const quietPeople = `person:
  - id: ann
    name: Ann
    device_trackers: [device_tracker.phone_with_arp_offload]
  - id: ben
    name: Ben
    device_trackers: [device_tracker.phone_sleeps_up_to_40_min]
`

// playedDay is played once for all releases.
var (
	playDay   sync.Once
	playedDay daytest.Day
)

// Rows in the recorder are caused by those who come and go; to be heard causes
// none. The day is the one whose messages are counted in package scenario,
// here heard by Home Assistant as fast as it takes them.
func quietDay(r *rig) {
	playDay.Do(func() { playedDay = daytest.Play(r.t, 1) })
	say := r.speaker()
	for _, m := range playedDay.First {
		say(m)
	}
	r.until("to know all devices", func() error { return r.knows(len(playedDay.Home)) })
	r.calm()
	began := time.Now()
	var last presence.Event
	for _, m := range playedDay.Said {
		say(m)
		if m.Topic == daytest.Topics.Event() {
			r.must(json.Unmarshal(m.Payload, &last))
		}
	}
	r.until("to hear of the last event", func() error {
		s, err := r.ha.State(r.ctx, "event.porchlight_home_event")
		if seq := s.Attributes["seq"]; err == nil && seq != float64(last.Seq) {
			err = fmt.Errorf("it knows event %v, want %d", seq, last.Seq)
		}
		return err
	})
	r.calm()
	entities, err := r.ha.Entities(r.ctx)
	r.must(err)
	r.must(r.ha.Stop()) // writes what the recorder still has
	checkRows(r, &playedDay, entities, r.rowsSince(began))
}

// knows returns an error unless n trackers are at home or away.
func (r *rig) knows(n int) error {
	all, err := r.ha.States(r.ctx)
	for _, s := range all {
		if strings.HasPrefix(s.Entity, "device_tracker.") && (s.State == "home" || s.State == "not_home") {
			n--
		}
	}
	if err == nil && n > 0 {
		err = fmt.Errorf("%d are missing", n)
	}
	return err
}

// checkRows checks the rows of the day, by entity or type of event.
func checkRows(r *rig, day *daytest.Day, entities []Entity, rows map[string]int) {
	moves := map[presence.ID]int{}
	for _, m := range day.Moves {
		moves[daytest.ID(m.Device)]++
	}
	worst := 0.0
	for _, e := range entities {
		id, ours := strings.CutPrefix(e.UniqueID, "porchlight_home_")
		id, tracker := strings.CutSuffix(id, "_tracker")
		if !ours || !tracker {
			continue
		}
		got, n := rows[e.Entity], moves[presence.ID(id)]
		switch {
		case n == 0 && got > 0:
			r.t.Errorf("%s, which neither came nor went, has %d rows", e.Entity, got)
		case got < n || got >= 10*n && n > 0:
			r.t.Errorf("%s has %d rows for %d changes", e.Entity, got, n)
		case n > 0:
			worst = max(worst, float64(got)/float64(n))
		}
		delete(moves, presence.ID(id))
	}
	if len(moves) > 0 {
		r.t.Errorf("no tracker of %v", moves)
	}
	all := 0
	for _, n := range rows {
		all += n
	}
	f := day.Figures()
	each := float64(all) / float64(f.Transitions)
	if each >= 10 {
		r.t.Errorf("%.1f rows for each change, want less than 10: %v", each, rows)
	}
	r.t.Attr("rows", fmt.Sprintf("%d for %d changes: %.1f each; at worst %.1f of a device's own", all, f.Transitions, each, worst))
}

// speaker returns what publishes at the broker, as Porchlight did.
func (r *rig) speaker() func(daytest.Message) {
	o := paho.NewClientOptions().AddBroker("tcp://unused").SetClientID("replay").SetAutoReconnect(false).
		SetCustomOpenConnectionFn(func(*url.URL, paho.ClientOptions) (net.Conn, error) {
			return r.host.Dial(r.ctx, "tcp", r.broker.Addr())
		})
	c := paho.NewClient(o)
	wait := func(token paho.Token) {
		if !token.WaitTimeout(patience) || token.Error() != nil {
			r.t.Fatalf("the broker does not take it: %v", token.Error())
		}
	}
	wait(c.Connect())
	r.t.Cleanup(func() { c.Disconnect(0) })
	return func(m daytest.Message) { wait(c.Publish(m.Topic, 1, m.Retain, m.Payload)) }
}

// rowsSince counts what the recorder has written since then: rows by entity,
// and by type of event but for its own end.
func (r *rig) rowsSince(then time.Time) map[string]int {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(r.dir, "home-assistant_v2.db")+"?mode=ro")
	r.must(err)
	defer db.Close()
	rows, err := db.QueryContext(r.ctx, `
		SELECT m.entity_id, count(*) FROM states s JOIN states_meta m USING (metadata_id)
			WHERE s.last_updated_ts > ?1 GROUP BY 1
		UNION ALL
		SELECT t.event_type, count(*) FROM events e JOIN event_types t USING (event_type_id)
			WHERE e.time_fired_ts > ?1 AND t.event_type != 'homeassistant_stop' GROUP BY 1`,
		float64(then.UnixMicro())/1e6)
	r.must(err)
	defer rows.Close()
	found := map[string]int{}
	for rows.Next() {
		var name string
		var n int
		r.must(rows.Scan(&name, &n))
		found[name] = n
	}
	r.must(rows.Err())
	return found
}
