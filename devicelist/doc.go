// Package devicelist reads the lists of devices that other tools keep, so that
// people who come from them start with what they know: MAC addresses, and what
// they call the devices.
//
// It takes
//   - what NirSoft's WhoIsConnectedSniffer and Wireless Network Watcher save: CSV,
//     tab-delimited text, with or without a header, plain text and XML
//     (nirsoft.net/utils/who_is_connected_sniffer.html, /wireless_network_watcher.html);
//   - the output of arp-scan (arp-scan(1));
//   - nmap's XML, nmap -oX (nmap.org/book/output-formats-xml-output.html);
//   - any CSV with columns such as "mac" and "name", Porchlight's own included.
//
// The format is found out from the content, the encoding as well: UTF-8, UTF-16
// and Windows-1252.
package devicelist
