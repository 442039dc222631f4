package traffic

import (
	"fmt"
	"slices"

	"porchlight/capture"
)

// choose returns which interfaces are recorded: those of these names; without
// names all but loopback and those whose packets are seen again on another one.
// Problems say what is missing.
func choose(all []capture.Interface, names []string) (chosen []capture.Interface, problems []string) {
	if len(names) == 0 {
		for _, i := range all {
			if !i.Loopback && i.Twice == "" {
				chosen = append(chosen, i)
			}
		}
		return few(chosen)
	}
	for _, name := range names {
		at := slices.IndexFunc(all, func(i capture.Interface) bool { return i.Name == name })
		if at < 0 {
			problems = append(problems, fmt.Sprintf("the traffic of %s is not recorded: there is no such interface", name))
			continue
		}
		chosen = append(chosen, all[at])
	}
	return chosen, problems
}

// few leaves out what is more than can be heard.
func few(chosen []capture.Interface) (heard []capture.Interface, problems []string) {
	if len(chosen) <= capture.MaxHeard {
		return chosen, nil
	}
	return chosen[:capture.MaxHeard], []string{fmt.Sprintf("there are %d interfaces, and the traffic of %d is recorded: name those that matter in PORCHLIGHT_TRAFFIC_INTERFACES", len(chosen), capture.MaxHeard)}
}
