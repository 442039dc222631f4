package devicelist

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// windows1252 is what the bytes 0x80 to 0x9f stand for in Windows-1252.
var windows1252 = []rune("€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ")

// decode returns the text of a file that Windows or another system wrote.
func decode(b []byte) string {
	switch {
	case bytes.HasPrefix(b, []byte("\xff\xfe")):
		return fromUTF16(b[2:], binary.LittleEndian)
	case bytes.HasPrefix(b, []byte("\xfe\xff")):
		return fromUTF16(b[2:], binary.BigEndian)
	case len(b) > 3 && b[1] == 0 && b[3] == 0:
		return fromUTF16(b, binary.LittleEndian)
	case len(b) > 3 && b[0] == 0 && b[2] == 0:
		return fromUTF16(b, binary.BigEndian)
	case utf8.Valid(b):
		return strings.TrimPrefix(string(b), "\ufeff")
	}
	var s strings.Builder
	for _, c := range b {
		r := rune(c)
		if c >= 0x80 && c <= 0x9f {
			r = windows1252[c-0x80]
		}
		s.WriteRune(r)
	}
	return s.String()
}

func fromUTF16(b []byte, order binary.ByteOrder) string {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = order.Uint16(b[2*i:])
	}
	return string(utf16.Decode(units))
}
