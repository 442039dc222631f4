package presence

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// ParseMerge reads a command to merge devices into another one, or to split MACs
// off it, in its JSON form: {"merge": "<id>"} or {"split": "<MAC>"}, each also
// with a list. Both are empty when it is another command. The error is of one line.
func ParseMerge(payload []byte) (merge []ID, split []MAC, err error) {
	var fields map[string]json.RawMessage
	dec := json.NewDecoder(bytes.NewReader(payload))
	if whole := len(payload) <= maxChange && dec.Decode(&fields) == nil && !dec.More(); !whole {
		return nil, nil, nil // ParseChange says what is wrong
	}
	_, merges := fields["merge"]
	_, splits := fields["split"]
	if !merges && !splits {
		return nil, nil, nil
	}
	if len(fields) > 1 {
		return nil, nil, errors.New("merge and split each want a command of their own, with nothing else in it")
	}
	for name, value := range fields {
		macs, want := readMACs(value)
		if want != "" {
			return nil, nil, fmt.Errorf("%s: want %s", name, want)
		}
		if splits {
			return nil, macs, nil
		}
		for _, m := range macs {
			merge = append(merge, m.ID())
		}
	}
	return merge, nil, nil
}

// readMACs reads a MAC, or a list of them, each in any form that ParseMAC reads.
func readMACs(value []byte) (macs []MAC, want string) {
	want = fmt.Sprintf("a device's id or MAC, or a list of up to %d", MaxMACs)
	var one MAC
	if json.Unmarshal(value, &one) == nil {
		macs = []MAC{one}
	} else if json.Unmarshal(value, &macs) != nil {
		return nil, want
	}
	if len(macs) == 0 || len(macs) > MaxMACs {
		return nil, want
	}
	for _, m := range macs {
		if !m.Station() {
			return nil, want
		}
	}
	return macs, ""
}
