package mqtt

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// slim is a connection from a broker that takes the payload out of messages that
// are longer than MaxFollowed, before the client makes room for it: anyone at
// the broker can publish 256 MB. The rest of the packet stays, so that it can be
// acknowledged.
type slim struct {
	net.Conn
	r      *bufio.Reader
	head   []byte // to be read before what follows
	follow int    // bytes of the packet that are handed on
	skip   int    // bytes of the packet that are not
	stub   int    // how many bytes of a payload that is too long are left
}

func newSlim(c net.Conn) *slim { return &slim{Conn: c, r: bufio.NewReaderSize(c, 4<<10)} }

// newStubbing leaves a byte of a payload that is too long, so that it is not
// taken for an empty one.
func newStubbing(c net.Conn) *slim {
	s := newSlim(c)
	s.stub = 1
	return s
}

// Read implements io.Reader.
func (s *slim) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(s.head) == 0 && s.follow == 0 {
		n, err := s.r.Discard(s.skip)
		if s.skip -= n; err != nil {
			return 0, err
		}
		if err := s.next(); err != nil {
			return 0, err
		}
	}
	if len(s.head) > 0 {
		n := copy(p, s.head)
		s.head = s.head[n:]
		return n, nil
	}
	n, err := s.r.Read(p[:min(len(p), s.follow)])
	s.follow -= n
	return n, err
}

// next reads the beginning of a packet (MQTT 3.1.1, sections 2.2 and 3.3).
func (s *slim) next() error {
	first, err := s.r.ReadByte()
	if err != nil {
		return err
	}
	length, err := readLength(s.r)
	if err != nil {
		return err
	}
	s.head = appendLength([]byte{first}, length)
	s.follow = length
	const overhead = 4 // the lengths of the topic and of its id
	if length <= MaxFollowed+overhead {
		return nil
	}
	if first>>4 != packets.Publish {
		return fmt.Errorf("the broker sends a packet of type %d with %d bytes: is it one for MQTT?", first>>4, length)
	}
	topic := make([]byte, 2)
	if _, err := io.ReadFull(s.r, topic); err != nil {
		return err
	}
	keep := 2 + int(binary.BigEndian.Uint16(topic))
	if qos := first >> 1 & 3; qos > 0 {
		keep += 2
	}
	keep += s.stub
	if keep > length {
		return errMalformed
	}
	s.head = append(appendLength([]byte{first}, keep), topic...)
	s.follow, s.skip = keep-len(topic), length-keep
	return nil
}

var errMalformed = errors.New("the broker sends what is no MQTT: check the port of PORCHLIGHT_MQTT_URL")

// readLength reads the remaining length of a packet: 7 bits a byte, the lowest
// first, at most 4 bytes (MQTT 3.1.1, section 2.2.3).
func readLength(r io.ByteReader) (length int, err error) {
	for shift := 0; shift < 28; shift += 7 {
		b, err := r.ReadByte()
		if err != nil {
			return 0, err
		}
		length |= int(b&0x7f) << shift
		if b < 0x80 {
			return length, nil
		}
	}
	return 0, errMalformed
}

func appendLength(b []byte, length int) []byte {
	for length >= 0x80 {
		b = append(b, byte(length)|0x80)
		length >>= 7
	}
	return append(b, byte(length))
}
