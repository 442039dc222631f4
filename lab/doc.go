// Package lab raises a virtual LAN on this machine: a switch, a gateway with a
// real DHCP server, and hosts, each in a network namespace of its own. The
// integration tests, the benchmarks and the demo run on it.
//
//	 ┌──────────────────── switch ────────────────────┐
//	 │ a Linux bridge: no STP, no multicast snooping  │
//	 └──┬──────────┬─────────┬─────────┬───────────┬──┘
//	    │ veth     │         │         │           │
//	 gateway    observer   client    client    population
//	10.77.0.1     lan0     "phone"    "tv"     10,000 devices
//	 dnsmasq   Porchlight  udhcpc    udhcpc    from one veth
//
// One lab is one segment. For a network of several, raise several labs with
// prefixes of their own, attach the observer to each (Attach), and have clients
// move between them (Client.Move).
//
// The namespaces are anonymous. No interface of the lab is ever visible on the
// host, no frame of it leaves the machine, and nothing needs to be cleaned up
// after a crash: children die with the thread that started them (PDEATHSIG),
// namespaces vanish with the process that holds them, and the files that
// children read live in memory. Lab.Close ends all of it in order.
//
// A Client is a real Linux host with a real DHCP client, dear (a namespace, a
// thread, a process) and exact. A Population plays thousands of devices in user
// space, and can lose, delay and miscount what it is told to: the place for
// flaky devices, since not every kernel has netem. Every bridge port costs about a
// microsecond per broadcast, so many devices belong into one population.
//
// The lab needs root (CAP_SYS_ADMIN, CAP_NET_ADMIN, CAP_NET_RAW); New returns
// ErrNeedsRoot without it. It is for Linux only.
//
// Programs that run in the lab share the host's file system. So /sys/class/net
// there shows the host's interfaces, and /proc/net those of the main thread:
// ask by netlink.
package lab
