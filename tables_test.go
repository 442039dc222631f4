package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFit(t *testing.T) {
	rows := [][]string{
		{"PORT", "DEVICE", "PROGRAM", "COMMAND"},
		{"22", "", "sshd", "sshd: /usr/sbin/sshd -D [listener]"},
		{"443", "", "nginx"},
		{"80", "", "nginx", "nginx: master process"},
	}
	for width, want := range map[int][][]string{
		57: rows, // it is as wide as that
		56: { // without the column that says nothing
			{"PORT", "PROGRAM", "COMMAND"},
			{"22", "sshd", "sshd: /usr/sbin/sshd -D [listener]"},
			{"443", "nginx"},
			{"80", "nginx", "nginx: master process"},
		},
		36: {
			{"PORT", "PROGRAM", "COMMAND"},
			{"22", "sshd", "sshd: /usr/sbin/sshd…"},
			{"443", "nginx"},
			{"80", "nginx", "nginx: master process"},
		},
		30: { // there is no room for the last: the terminal breaks the lines
			{"PORT", "PROGRAM", "COMMAND"},
			{"22", "sshd", "sshd: /usr/sbin/sshd -D [listener]"},
			{"443", "nginx"},
			{"80", "nginx", "nginx: master process"},
		},
	} {
		if diff := cmp.Diff(want, fit(rows, width)); diff != "" {
			t.Errorf("%d: %s", width, diff)
		}
	}
	why := [][]string{{"STATE", "VENDOR", "WHY"}, {"home", "", "ARP reply from 192.0.2.7"}}
	want := [][]string{{"STATE", "WHY"}, {"home", "ARP reply from 192.0.2.7"}}
	if diff := cmp.Diff(want, fit(why, 25)); diff != "" {
		t.Errorf("a reason: %s", diff)
	}
	if empty := rows[:1]; !cmp.Equal(empty, fit(empty, 10)) {
		t.Error("headings alone are headings")
	}
}
