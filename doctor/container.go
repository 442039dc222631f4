package doctor

import (
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"

	"porchlight/presence"
)

// place says whether this process is in a container.
type place struct {
	runtime string // "Docker", "Podman", "Kubernetes"; empty: in none of these
	inner   bool   // in a network namespace that was made inside the container
	dns     bool   // its name server is Docker's own
}

// readPlace looks at what container engines leave in the file system.
func readPlace() place {
	p := placeFrom(os.DirFS("/"))
	// Each namespace has files of its own under net, which may be looked at even
	// where the links under ns may not (proc_pid_net(5)).
	mine, err1 := os.Stat("/proc/thread-self/net/dev")
	first, err2 := os.Stat("/proc/1/net/dev")
	p.inner = err1 == nil && err2 == nil && !os.SameFile(mine, first)
	return p
}

// placeFrom reads the root file system.
func placeFrom(root fs.FS) place {
	var p place
	has := func(name string) bool {
		_, err := fs.Stat(root, name)
		return err == nil
	}
	read := func(name string) string {
		b, _ := fs.ReadFile(root, name)
		return string(b)
	}
	groups, mounts := read("proc/1/cgroup"), engineMounts(read("proc/self/mountinfo"))
	switch {
	case has("run/secrets/kubernetes.io") || strings.Contains(groups, "kubepods") || strings.Contains(mounts, "/kubelet/pods/"):
		p.runtime = "Kubernetes"
	case has("run/.containerenv") || strings.Contains(groups, "libpod") || strings.Contains(mounts, "/overlay-containers/"):
		p.runtime = "Podman"
	case has(".dockerenv") || strings.Contains(groups, "/docker") || strings.Contains(mounts, "/docker/containers/"):
		p.runtime = "Docker"
	}
	for line := range strings.Lines(read("etc/resolv.conf")) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "nameserver" && fields[1] == "127.0.0.11" {
			p.dns = true
		}
	}
	return p
}

// engineMounts returns where the files come from that engines put over a
// container's own (proc_pid_mountinfo(5)). On the host other mounts of theirs
// are seen, which prove nothing.
func engineMounts(mountinfo string) string {
	var from []string
	for line := range strings.Lines(mountinfo) {
		fields := strings.Fields(line)
		if len(fields) > 4 && slices.Contains([]string{"/etc/hostname", "/etc/hosts", "/etc/resolv.conf"}, fields[4]) {
			from = append(from, fields[3])
		}
	}
	return strings.Join(from, "\n")
}

// pools are the networks that container engines give out by default: Docker's
// (dockerd, default-address-pools; its 192.168.0.0/16 is many people's LAN and
// proves nothing), Podman's, and those of Kubernetes' usual plugins.
var pools = []netip.Prefix{
	netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("10.88.0.0/15"),
	netip.MustParsePrefix("10.42.0.0/16"),
	netip.MustParsePrefix("10.244.0.0/16"),
}

// Container returns a finding when this process is in a container that seems
// to see the container engine's own network instead of the LAN.
func Container() (f Finding, bridged bool) {
	n, err := readNetwork()
	if err != nil {
		return f, false
	}
	f = checkContainer(readPlace(), n)
	return f, f.Level == Fail
}

// bridgedNetwork wants several hints at once, since each alone is found where
// the LAN can be heard: a virtual machine's LXC container on a bridge has a
// veth too, a container on the host's network has Docker's marks, and people
// use 172.16.0.0/12 at home.
func bridgedNetwork(p place, n network) (bool, string) {
	if p.runtime == "" || p.inner {
		return false, ""
	}
	var l link
	for _, o := range n.links {
		switch {
		case o.encap != "ether" || !o.up:
		case o.kind != "veth" || !o.far:
			return false, "" // a network card, macvlan, or the host's docker0
		case l.name == "" || len(n.routes) > 0 && o.name == n.routes[0].link:
			l = o
		}
	}
	if l.name == "" {
		return false, ""
	}
	var hints []string
	for _, a := range l.prefixes {
		inPool := func(pool netip.Prefix) bool { return pool.Contains(a.Addr()) }
		if slices.ContainsFunc(pools, inPool) {
			hints = append(hints, fmt.Sprintf("the address %s is from its pool", a.Addr()))
			break
		}
	}
	if dockers(l.mac) {
		hints = append(hints, "the MAC "+l.mac.String()+" is of its making")
	}
	if p.dns {
		hints = append(hints, "the name server is its own")
	}
	for _, nb := range n.neighbours {
		isGateway := func(r route) bool { return r.link == nb.link && r.gateway == nb.addr }
		if nb.link != l.name || !slices.ContainsFunc(n.routes, isGateway) || !nb.mac.Station() {
			continue
		}
		if !nb.mac.Private() {
			return false, "" // a router that somebody made: the veth leads to the LAN
		}
		if dockers(nb.mac) {
			hints = append(hints, "the gateway's MAC "+nb.mac.String()+" is of its making")
		}
	}
	if len(hints) == 0 {
		return false, ""
	}
	return true, fmt.Sprintf("%s is one end of a virtual cable, and %s", l.name, strings.Join(hints, ", "))
}

// dockers reports whether Docker made m up: it begins them with 02:42.
func dockers(m presence.MAC) bool { return m[0] == 0x02 && m[1] == 0x42 }

func checkContainer(p place, n network) Finding {
	const check = "container"
	if bridged, why := bridgedNetwork(p, n); bridged {
		remedy := "Use network_mode: host (docker run --network host)."
		if p.runtime == "Kubernetes" {
			remedy = "Set hostNetwork: true in the pod."
		}
		return fail(check, fmt.Sprintf("This container sees %s's own network, not your LAN: %s.", p.runtime, why), remedy)
	}
	if p.runtime == "" {
		return ok(check, "Not in a Docker, Podman or Kubernetes container.")
	}
	return ok(check, "In a container ("+p.runtime+") with a network that can be the LAN.")
}
