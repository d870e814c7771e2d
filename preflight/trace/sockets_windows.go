package trace

// openSockets has no way: Windows tells programs nothing of the ICMP errors about
// their UDP and TCP packets, and lets nobody send TCP by raw sockets.
func openSockets(_ Options, m Method) (prober, error) {
	what := "UDP probes: on Windows only an administrator hears who answers, by raw sockets and if the firewall lets them, and linehaul does not go that way; ICMP probes need no right"
	if m == TCP {
		what = "TCP probes: Windows tells no program which router answered, and lets nobody, administrators included, send TCP by raw sockets; ICMP probes need no right"
	}
	return nil, &missingError{what: what}
}
