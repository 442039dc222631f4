package config

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The settings of the service are made from Config. To make the file anew:
//
//	UPDATE=1 go test ./config -run EnvFile
func TestEnvFile(t *testing.T) {
	const path = "../packaging/porchlight.env"
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, []byte(EnvFile()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(EnvFile(), string(content)); diff != "" {
		t.Errorf("%s is old; run UPDATE=1 go test ./config -run EnvFile (-want +got):\n%s", path, diff)
	}
}

// Who takes every # away has the defaults.
func TestEnvFileHoldsTheDefaults(t *testing.T) {
	var environ []string
	for line := range strings.Lines(EnvFile()) {
		if setting, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "#"+Prefix); ok {
			environ = append(environ, Prefix+setting)
		}
	}
	if want := len(allSettings()) - 1; len(environ) != want {
		t.Fatalf("%d settings are in the file, want %d", len(environ), want)
	}
	want, _, err := load(nil, true)
	if err != nil {
		t.Fatal(err)
	}
	got, warnings, err := load(environ, true)
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-defaults +file):\n%s", diff)
	}
}

func TestWrap(t *testing.T) {
	got := wrap("one two  three-and-a-half four", 8)
	if diff := cmp.Diff([]string{"one two", "three-and-a-half", "four"}, got); diff != "" {
		t.Error(diff)
	}
}
