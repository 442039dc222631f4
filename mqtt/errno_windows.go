package mqtt

import "golang.org/x/sys/windows"

// The errors of Windows' sockets. Those of package syscall are others, which
// Windows never returns.
const (
	connRefused     = windows.WSAECONNREFUSED
	connReset       = windows.WSAECONNRESET
	brokenPipe      = windows.WSAECONNABORTED
	hostUnreachable = windows.WSAEHOSTUNREACH
	netUnreachable  = windows.WSAENETUNREACH
)
