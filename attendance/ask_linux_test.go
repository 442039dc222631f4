package attendance

import (
	"strings"
	"testing"
)

func TestAsk(t *testing.T) {
	s := startSystem(t)
	eventually(t, "a bus without logind", func() bool {
		_, err := Ask(t.Context(), s.address)
		return err != nil && strings.Contains(err.Error(), login)
	})
	l := s.startLogind()
	if there, err := Ask(t.Context(), s.address); there || err != nil {
		t.Error(there, err)
	}
	l.begin("1", "seat0", nil)
	if there, err := Ask(t.Context(), s.address); !there || err != nil {
		t.Error(there, err)
	}
	if _, err := Ask(t.Context(), "unix:path=/nonexistent/bus"); err == nil || !strings.Contains(err.Error(), "/nonexistent/bus") {
		t.Errorf("without a bus: %v", err)
	}
}
