package reach

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"porchlight/presence"
)

// ask asks once, and finds out why there is no answer if there is none.
func (r *routers) ask(ctx context.Context, to presence.Reach) (answered bool, err error) {
	limit, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if to.Port == 0 {
		err = ping(limit, to.Addr)
	} else {
		err = connect(limit, to.Addr, to.Port)
	}
	switch {
	case err == nil:
		return true, nil
	case silent(err):
		return false, r.way(ctx, to.Addr)
	}
	return false, plain(err)
}

// silent reports whether err says no more than that nobody answered. That a host
// is unreachable is what the router before it says when the host does not answer
// ARP; that a network is unreachable says that the way is cut.
func silent(err error) bool {
	for _, e := range []error{
		context.DeadlineExceeded, os.ErrDeadlineExceeded, syscall.ETIMEDOUT,
		syscall.EHOSTUNREACH, syscall.EHOSTDOWN, syscall.ECONNREFUSED, syscall.EACCES, syscall.ECONNRESET,
		syscall.EPROTO, syscall.ENOPROTOOPT, syscall.EOPNOTSUPP,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// plain says what is wrong without what was tried.
func plain(err error) error {
	var errno syscall.Errno
	switch {
	case errors.Is(err, syscall.ENETUNREACH):
		return errNoRoute
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%w: let Porchlight have CAP_NET_RAW, and this machine's firewall let it out", os.ErrPermission)
	case errors.As(err, &errno):
		return errno
	}
	return err
}

var errNoRoute = errors.New("there is no route to it")
