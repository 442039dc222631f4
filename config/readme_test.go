package config

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The README's table of settings is made from Config. To make it anew:
//
//	UPDATE=1 go test ./config -run README
func TestREADME(t *testing.T) {
	const path = "../README.md"
	const begin, end = "<!-- settings:begin -->\n", "<!-- settings:end -->"
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(content), begin)
	table, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no %q with %q after it", path, strings.TrimSpace(begin), end)
	}
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, []byte(before+begin+Table()+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(Table(), table); diff != "" {
		t.Errorf("the table of settings is old; run UPDATE=1 go test ./config -run README (-want +got):\n%s", diff)
	}
}

func TestEverySettingIsExplained(t *testing.T) {
	for _, s := range allSettings() {
		if s.name == Prefix || s.field.Tag.Get("meaning") == "" {
			t.Errorf("the field %s has no name or no meaning", s.field.Name)
		}
		if kind := s.field.Type.String(); kind != "string" && kind != "[]string" && !s.secret() && wants[s.field.Type] == "" {
			t.Errorf("nothing says what a right value of %s looks like", s.name)
		}
	}
}
