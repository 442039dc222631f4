package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"syscall"

	"porchlight/config"
)

// listenOn tries to listen on a TCP address, and stops at once.
func listenOn(ctx context.Context, address string) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return l.Close()
}

// checkEmbedded is about the embedded broker. err is from listenOn; held is
// whether a Porchlight runs on our database.
func checkEmbedded(address string, err error, held bool) Finding {
	return checkListen("broker", "the embedded broker", "PORCHLIGHT_BROKER_LISTEN", address, err, held,
		"If another broker runs here, set PORCHLIGHT_MQTT_URL to it, such as mqtt://"+config.Reachable(address)+"; else choose another PORCHLIGHT_BROKER_LISTEN.")
}

// checkWeb is about the page.
func checkWeb(address string, err error, held bool) Finding {
	f := checkListen("web", "the page", "PORCHLIGHT_WEB_LISTEN", address, err, held,
		"Set PORCHLIGHT_WEB_LISTEN to another port.")
	if f.Level == Fail {
		f.Level = Warn // everything else works
	}
	return f
}

func checkListen(check, who, setting, address string, err error, held bool, taken string) Finding {
	switch {
	case err == nil:
		return ok(check, fmt.Sprintf("%s is free for %s.", address, who))
	case errors.Is(err, syscall.EADDRINUSE) && held:
		return ok(check, fmt.Sprintf("%s is in use, and Porchlight is running.", address))
	case errors.Is(err, syscall.EADDRINUSE):
		return fail(check, fmt.Sprintf("%s, where %s is to listen, is taken by another program, or by a Porchlight with another data directory.", address, who), taken)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fail(check, fmt.Sprintf("%s is not an address of this machine, so %s cannot listen there.", address, who), "Correct "+setting+".")
	case errors.Is(err, fs.ErrPermission):
		return fail(check, fmt.Sprintf("This user may not listen on %s.", address), "Set "+setting+" to a port above 1023.")
	}
	return fail(check, fmt.Sprintf("%s cannot be listened on: %v.", address, err), "Correct "+setting+".")
}
