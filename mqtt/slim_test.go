package mqtt

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// received reads wire as Follow's client would.
func received(wire []byte) io.Reader {
	return newSlim(stream{r: bytes.NewReader(wire)})
}

type stream struct {
	net.Conn
	r io.Reader
}

func (s stream) Read(p []byte) (int, error) { return s.r.Read(p) }

func published(t testing.TB, topic string, qos byte, payload string) []byte {
	p := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
	p.TopicName, p.Qos, p.MessageID, p.Payload = topic, qos, 7, []byte(payload)
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestSlim(t *testing.T) {
	huge := strings.Repeat("x", 3<<20)
	var wire []byte
	for _, qos := range []byte{0, 1} {
		wire = append(wire, published(t, "a", qos, "before")...)
		wire = append(wire, published(t, "a/huge", qos, huge)...)
		wire = append(wire, published(t, "most", qos, huge[:MaxFollowed-4])...)
	}
	wire = append(wire, 0xd0, 0) // PINGRESP
	r := received(wire)
	for _, want := range []struct {
		topic   string
		payload int
	}{{"a", 6}, {"a/huge", 0}, {"most", MaxFollowed - 4}, {"a", 6}, {"a/huge", 0}, {"most", MaxFollowed - 4}} {
		got, err := packets.ReadPacket(r)
		if err != nil {
			t.Fatal(err)
		}
		p := got.(*packets.PublishPacket)
		if p.TopicName != want.topic || len(p.Payload) != want.payload || p.Qos == 1 && p.MessageID != 7 {
			t.Errorf("%s: %d bytes, id %d; want %+v", p.TopicName, len(p.Payload), p.MessageID, want)
		}
	}
	if got, err := packets.ReadPacket(r); err != nil || got.String() != packets.NewControlPacket(packets.Pingresp).String() {
		t.Error(got, err)
	}
	if got, err := packets.ReadPacket(r); !errors.Is(err, io.EOF) {
		t.Error(got, err)
	}
}

func TestSlimFaults(t *testing.T) {
	for name, wire := range map[string][]byte{
		"length of five bytes":       {0x30, 0xff, 0xff, 0xff, 0xff, 0x01},
		"huge SUBACK":                {0x90, 0xff, 0xff, 0xff, 0x7f},
		"breaks off in the length":   {0x30, 0xff},
		"breaks off in a huge topic": {0x30, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 'a'},
	} {
		if _, err := packets.ReadPacket(received(wire)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Whatever comes, no packet that is handed on is longer than it may be.
func FuzzSlim(f *testing.F) {
	f.Add(published(f, "a", 1, "hello"))
	f.Add([]byte{0x32, 0xff, 0xff, 0xff, 0x7f, 0, 1, 'a', 0, 1})
	f.Fuzz(func(t *testing.T, wire []byte) {
		out, _ := io.ReadAll(received(wire))
		if len(out) > len(wire) {
			t.Errorf("%d bytes became %d", len(wire), len(out))
		}
		for r := bytes.NewReader(out); r.Len() > 0; {
			_, _ = r.ReadByte()
			length, err := readLength(r)
			if err != nil || length > MaxFollowed+4+1<<16 {
				t.Fatal(length, err)
			}
			_, _ = r.Seek(int64(length), io.SeekCurrent)
		}
	})
}
