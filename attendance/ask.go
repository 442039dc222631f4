package attendance

import "context"

// Ask asks once whether someone is at the machine; for bus see New.
func Ask(ctx context.Context, bus string) (bool, error) {
	conn, err := connect(ctx, bus)
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.Close() }()
	return attended(ctx, conn)
}
