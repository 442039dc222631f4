//go:build !windows

package mqtt

import "syscall"

const (
	connRefused     = syscall.ECONNREFUSED
	connReset       = syscall.ECONNRESET
	brokenPipe      = syscall.EPIPE
	hostUnreachable = syscall.EHOSTUNREACH
	netUnreachable  = syscall.ENETUNREACH
)
