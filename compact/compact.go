// Package compact puts records into few bytes and takes them out again: varints
// and texts with their length, compressed (RFC 1951).
package compact

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
)

// maxUnpacked bounds what a damaged or foreign record can make of itself.
const maxUnpacked = 64 << 20

// usually is how many times longer a record is than what is stored of it.
const usually = 4

// ErrDamaged is what any unreadable record is.
var ErrDamaged = errors.New("what is stored is damaged")

// AppendTexts appends each text with its length before it.
func AppendTexts(b []byte, texts ...string) []byte {
	for _, t := range texts {
		b = append(binary.AppendUvarint(b, uint64(len(t))), t...)
	}
	return b
}

var (
	deflaters sync.Pool
	inflaters sync.Pool
)

// Deflate compresses.
func Deflate(b []byte) ([]byte, error) {
	var out bytes.Buffer
	w, kept := deflaters.Get().(*flate.Writer)
	if kept {
		w.Reset(&out)
	} else {
		var err error
		if w, err = flate.NewWriter(&out, flate.BestCompression); err != nil {
			return nil, err
		}
	}
	defer deflaters.Put(w)
	if _, err := w.Write(b); err != nil {
		return nil, err
	}
	err := w.Close()
	return out.Bytes(), err
}

// Inflate returns what was compressed, 64 MB at most. The error is ErrDamaged.
func Inflate(stored []byte) ([]byte, error) { return inflate(stored, maxUnpacked) }

func inflate(stored []byte, most int) ([]byte, error) {
	from := bytes.NewReader(stored)
	r, kept := inflaters.Get().(io.ReadCloser)
	if !kept {
		r = flate.NewReader(from)
	} else if err := r.(flate.Resetter).Reset(from, nil); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	defer inflaters.Put(r)
	var b bytes.Buffer
	b.Grow(min(usually*len(stored), most) + bytes.MinRead)
	if _, err := b.ReadFrom(io.LimitReader(r, int64(most)+1)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if b.Len() > most {
		return nil, ErrDamaged
	}
	return b.Bytes(), nil
}

// Reader takes values off bytes. After the first that is not there it has
// failed, and gives zero values.
type Reader struct {
	B      []byte // what is left
	failed bool
}

// Fail makes the reader one that has failed.
func (r *Reader) Fail() { r.B, r.failed = nil, true }

// Failed reports whether something was not there.
func (r *Reader) Failed() bool { return r.failed }

// Done reports whether all was there, and nothing is left.
func (r *Reader) Done() bool { return !r.failed && len(r.B) == 0 }

// Uint takes a varint.
func (r *Reader) Uint() uint64 {
	v, n := binary.Uvarint(r.B)
	return advance(r, v, n)
}

// Signed takes a varint with a sign.
func (r *Reader) Signed() int64 {
	v, n := binary.Varint(r.B)
	return advance(r, v, n)
}

func advance[T int64 | uint64](r *Reader, v T, n int) T {
	if n <= 0 {
		r.Fail()
		return 0
	}
	r.B = r.B[n:]
	return v
}

// Int takes a varint that a signed 32-bit number can hold.
func (r *Reader) Int() int {
	v := r.Uint()
	if v > 1<<31-1 {
		r.Fail()
		return 0
	}
	return int(v)
}

// Count takes a number of things that take a byte each at least.
func (r *Reader) Count() int {
	n := r.Int()
	if n > len(r.B) {
		r.Fail()
		return 0
	}
	return n
}

// Take takes n bytes; nil when there are fewer.
func (r *Reader) Take(n int) []byte {
	if n > len(r.B) {
		r.Fail()
		return nil
	}
	b := r.B[:n]
	r.B = r.B[n:]
	return b
}

// Text takes a text with its length.
func (r *Reader) Text() string { return string(r.Take(r.Int())) }
