package config

import "net"

// Broker is where a client on this machine reaches the broker, and with what.
type Broker struct {
	URL, Username, Password   string
	CAFile, CertFile, KeyFile string
}

// Broker is the one that is set, else the embedded one of the Porchlight that
// runs on this machine with the same settings.
func (c *Config) Broker() Broker {
	if c.MQTTURL == nil {
		return Broker{URL: "mqtt://" + Reachable(c.BrokerListen), Username: c.BrokerUsername, Password: string(c.BrokerPassword)}
	}
	return Broker{
		URL: c.MQTTURL.String(), Username: c.MQTTUsername, Password: string(c.MQTTPassword),
		CAFile: c.MQTTCAFile, CertFile: c.MQTTCertFile, KeyFile: c.MQTTKeyFile,
	}
}

// Reachable is the address at which those on this machine reach who listens at
// the address listen.
func Reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return listen
}
