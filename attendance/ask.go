package attendance

import (
	"context"
	"fmt"
)

// Ask asks once whether someone is at the machine; for bus see New.
func Ask(ctx context.Context, bus string) (bool, error) {
	conn, err := New(bus, nil).connect(ctx)
	if err != nil {
		return false, fmt.Errorf("connecting to the system bus: %w", err)
	}
	defer func() { _ = conn.Close() }()
	return attended(ctx, conn)
}
