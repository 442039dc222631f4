package doctor

import (
	"context"
	"io"
	"net/http"
	"strings"
	"time"

	"porchlight/config"
	"porchlight/presence"
)

// healthTime bounds the question to a Porchlight that runs.
const healthTime = 3 * time.Second

// checkRunning asks the Porchlight that runs, which knows what only shows at
// work: topics that the broker forbids, events that could not be written. There
// is no finding if it has no page.
func checkRunning(ctx context.Context, listen, password string) []Finding {
	const check = "running"
	ctx, cancel := context.WithTimeout(ctx, healthTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+config.Reachable(listen)+"/healthz", http.NoBody)
	if err != nil {
		return nil
	}
	if password != "" {
		req.SetBasicAuth("doctor", password)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // and no proxy
	resp, err := client.Do(req)
	if err != nil {
		return nil
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	switch said := presence.CleanText(strings.TrimSpace(string(body)), 4<<10); resp.StatusCode {
	case http.StatusOK:
		return []Finding{ok(check, "The Porchlight that runs says that it is well.")}
	case http.StatusServiceUnavailable:
		return []Finding{warn(check, "The Porchlight that runs says: "+said+".", "Do what it says; its log and its page may say more.")}
	}
	return nil
}
