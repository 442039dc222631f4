package capture

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func zstandard(t testing.TB, content []byte, options ...zstd.EOption) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil, append(options, zstd.WithEncoderConcurrency(1))...)
	if err != nil {
		t.Fatal(err)
	}
	return z.EncodeAll(content, nil)
}

// A compressed file may be longer than what one record may take, packed too.
func TestUnpackLong(t *testing.T) {
	noise := make([]byte, maxStep+1<<20)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(noise)
	content := pcapHeader(little, micro, linkEthernet)
	records := 0
	for rest := noise; len(rest) > 0; records++ {
		n := min(1<<16, len(rest))
		content = append(content, pcapRecord(little, seconds, 0, string(rest[:n]))...)
		rest = rest[n:]
	}
	gz, zst := zipped(content), zstandard(t, content)
	packed := map[string][]byte{
		"gzip":           gz,
		"zstd":           zst,
		"zstd, in two":   append(zstandard(t, content[:100]), zstandard(t, content[100:])...),
		"zstd, by pzstd": append([]byte("\x5f"+magicSkip+"\x04\x00\x00\x00size"), zst...),
		"gzip, in two":   append(zipped(content[:100]), zipped(content[100:])...),
		"zstd, cut off":  zst[:maxStep],
		"gzip, cut off":  gz[:maxStep],
	}
	for name, file := range packed {
		f, err := open(file)
		if err != nil {
			t.Fatal(name, err)
		}
		n := 0
		for err == nil {
			if _, err = f.Next(); err == nil {
				n++
			}
		}
		if strings.Contains(name, "cut off") {
			if !errors.Is(err, io.ErrUnexpectedEOF) || n < records/2 {
				t.Errorf("%s: %d records, %v", name, n, err)
			}
		} else if !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || n != records {
			t.Errorf("%s: %d of %d records, %v", name, n, records, err)
		}
		if f.BytesRead() > int64(len(file)) || f.BytesRead() < int64(len(file))/2 {
			t.Errorf("%s: read %d of %d bytes", name, f.BytesRead(), len(file))
		}
		_ = f.Close()
	}
}

// A file that asks for more memory than is needed to unpack it is refused.
func TestUnpackWindow(t *testing.T) {
	file := zstandard(t, pcapFile(little, micro))
	// The frame's header, RFC 8878, section 3.1.1.1: no size and a window of 1 GB.
	file = append([]byte(magicZstd+"\x00\xa0"), file[6:]...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := open(file)
	runtime.ReadMemStats(&after)
	if err == nil || !strings.Contains(err.Error(), "window") {
		t.Errorf("error %v", err)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 2*maxWindow {
		t.Errorf("it took %d bytes", got)
	}
	if _, err := open([]byte(magicZstd)); err == nil {
		t.Error("no error for a file with no more than its first bytes")
	}
	if _, err := open(bytes.Repeat([]byte(magicGzip), 100)); err == nil {
		t.Error("no error for nonsense")
	}
}
