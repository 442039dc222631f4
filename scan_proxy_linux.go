package main

import (
	"fmt"

	"porchlight/presence"
)

// proxies says which MACs have answered a scan for so many addresses that most
// of those are nobody's, in the order of their first row.
func proxies(rows []found) (notes []string) {
	count := map[presence.MAC]int{}
	for _, f := range rows {
		count[f.MAC]++
	}
	for _, f := range rows {
		if n := count[f.MAC]; n >= presence.ManyAddresses {
			notes = append(notes, fmt.Sprintf("%s answers for %d addresses: it is a proxy, and nobody else need be there", f.MAC, n))
			delete(count, f.MAC)
		}
	}
	return notes
}
