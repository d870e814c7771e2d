package trace

// openSockets has no way: Windows tells programs nothing of the ICMP errors about
// their UDP and TCP packets, and lets nobody send TCP by raw sockets.
func openSockets(_ Options, m Method) (prober, error) {
	what := "UDP probes: Windows tells who answers to administrators only, by raw sockets and past its firewall, which linehaul has not; ICMP probes need no right"
	if m == TCP {
		what = "TCP probes: Windows tells nobody who answers, and lets nobody send TCP by raw sockets; ICMP probes need no right"
	}
	return nil, &missingError{what: what}
}
