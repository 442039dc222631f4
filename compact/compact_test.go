package compact

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
)

func TestReader(t *testing.T) {
	b := AppendTexts(nil, "a", "", "Anna's phone")
	b = binary.AppendUvarint(b, 1<<40)
	b = binary.AppendVarint(b, -7)
	b = append(b, 1, 2, 3)
	r := Reader{B: b}
	if a, e, p := r.Text(), r.Text(), r.Text(); a != "a" || e != "" || p != "Anna's phone" {
		t.Error(a, e, p)
	}
	if n, s := r.Uint(), r.Signed(); n != 1<<40 || s != -7 {
		t.Error(n, s)
	}
	if n := r.Int(); n != 1 || r.Done() {
		t.Error(n)
	}
	if two := r.Take(2); !bytes.Equal(two, []byte{2, 3}) || !r.Done() {
		t.Error(two)
	}
	for name, read := range map[string]func(*Reader){
		"no number":        func(r *Reader) { r.Uint() },
		"too big":          func(r *Reader) { r.B = binary.AppendUvarint(nil, 1<<31); r.Int() },
		"more than can be": func(r *Reader) { r.B = []byte{2, 0}; r.Count() },
		"a cut text":       func(r *Reader) { r.B = []byte{2, 'a'}; r.Text() },
	} {
		r := Reader{}
		if read(&r); !r.Failed() || r.Done() || r.Uint() != 0 {
			t.Errorf("%s is read", name)
		}
	}
}

func TestInflateIsBounded(t *testing.T) {
	const most = 1000
	for n, want := range map[int]error{most: nil, most + 1: ErrDamaged} {
		bomb, err := Deflate(make([]byte, n))
		if err != nil {
			t.Fatal(err)
		}
		if b, err := inflate(bomb, most); !errors.Is(err, want) || err == nil && len(b) != n {
			t.Errorf("%d of %d bytes: %v", len(b), n, err)
		}
	}
}

// FuzzInflate: what a file may hold is told to be damaged, or read; and reading
// it changes nothing for what is read next.
func FuzzInflate(f *testing.F) {
	some, _ := Deflate([]byte("some of it, some of it"))
	f.Add(some)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := Inflate(b); err != nil && !errors.Is(err, ErrDamaged) {
			t.Error(err)
		}
		packed, err := Deflate(b)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := Inflate(packed); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%x became %x, %v", b, again, err)
		}
	})
}
