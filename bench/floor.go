package main

import (
	"fmt"
	"net"
	"os"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"golang.org/x/sys/unix"
)

// floorCommand makes this program the floor: the shortest program that there
// can be between a frame and a subscriber.
const floorCommand = "floor-child"

// runFloor reads frames from the interface, and publishes each sender as home,
// until it is killed or fails.
func runFloor(iface, broker string) error {
	client := paho.NewClient(paho.NewClientOptions().AddBroker(broker).SetClientID("floor").SetOrderMatters(false))
	if t := client.Connect(); !t.WaitTimeout(5*time.Second) || t.Error() != nil {
		return fmt.Errorf("connecting to %s: %w", broker, t.Error())
	}
	link, err := net.InterfaceByName(iface)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	all := unix.ETH_P_ALL
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: uint16(all>>8 | all<<8), Ifindex: link.Index}); err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, "ready")
	buf := make([]byte, 2048)
	for {
		n, from, err := unix.Recvfrom(fd, buf, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		if l, ok := from.(*unix.SockaddrLinklayer); n >= 42 && ok && l.Pkttype != unix.PACKET_OUTGOING {
			client.Publish(floorTopic(fmt.Sprintf("%x", buf[6:12])), 1, true, "home")
		}
	}
}

func floorTopic(id string) string { return "floor/devices/" + id + "/state" }
