package page

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"linehaul/preflight"
	"linehaul/preflight/ping"
	"linehaul/preflight/plot"
	"linehaul/preflight/pmtu"
	"linehaul/preflight/port"
	"linehaul/preflight/trace"
)

// An example is a report as the checks would make it, and what it is to be
// shown with. Everything by chance comes of a seed.
type example struct {
	name    string
	report  preflight.Report
	options Options
}

func examples(t testing.TB) []example {
	t.Helper()
	all := []example{
		{name: "good", report: goodLine()},
		{name: "lossy", report: lossyLine(), options: Options{Before: ptr(goodLine())}},
		{name: "refused", report: refusedPort()},
		{name: "tunnel-down", report: tunnelDown()},
		{name: "black-hole", report: blackHole()},
		{name: "transfer", report: withTransfer(), options: Options{Before: ptr(goodTransfer()), History: nights()}},
		{name: "nothing", report: preflight.Report{}},
	}
	return all
}

func ptr[T any](v T) *T { return &v }

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

// echoes makes a series of echoes, one each interval, with the median, spread
// and loss given.
func echoes(seed uint64, n int, everyMS, base, spread, loss float64) *ping.Series {
	rng := rand.New(rand.NewPCG(seed, 7))
	s := &ping.Series{To: ip("10.20.0.5"), Way: "unprivileged ICMP", Size: 56, Sent: n}
	var times []float64
	before := -1.0
	for i := range n {
		at := float64(i) * everyMS
		if rng.Float64() < loss {
			s.Samples = append(s.Samples, ping.Sample{AtMS: at, Lost: true})
			continue
		}
		rtt := math.Round((base+spread*rng.ExpFloat64())*1000) / 1000
		if loss > 0 && i >= 20 && i < 24 { // a burst
			rtt *= 7
		}
		s.Samples = append(s.Samples, ping.Sample{AtMS: at, RTTMS: rtt})
		if before >= 0 {
			s.JitterMS += math.Abs(rtt - before)
		}
		before = rtt
		times = append(times, rtt)
	}
	s.Received, s.Loss = len(times), float64(n-len(times))/float64(n)
	if len(times) == 0 {
		return s
	}
	s.JitterMS /= float64(max(len(times)-1, 1))
	slices.Sort(times)
	s.MinMS, s.MedianMS, s.P95MS, s.MaxMS = times[0], plot.Quantile(times, 0.5), plot.Quantile(times, 0.95), times[len(times)-1]
	mean := 0.0
	for _, v := range times {
		mean += v / float64(len(times))
	}
	for _, v := range times {
		s.StdDevMS += (v - mean) * (v - mean) / float64(len(times))
	}
	s.StdDevMS = math.Sqrt(s.StdDevMS)
	return s
}

// way makes a trace of ten hops. From the hop given on, each probe is lost by
// the chance given; hop 3 spares its answers, hop 5 gives none.
func way(seed uint64, from int, loss float64) *trace.Trace {
	rng := rand.New(rand.NewPCG(seed, 9))
	names := []string{"gw.branch.example.net", "", "edge1.isp.example", "core2.isp.example", "", "xe-0-1-2.ams.transit.example", "hkg-b3-link.transit.example", "customer-port.hkg.transit.example", "fw.hk.example.net", "hk1.example.net"}
	delays := []float64{0.6, 1.1, 4.2, 5.0, 0, 12.4, 38.7, 39.5, 40.1, 40.8}
	t := &trace.Trace{To: ip("10.20.0.5"), Method: trace.TCP, Port: 22, Way: "TCP SYN, answers by the error queue", Reached: true}
	for i, d := range delays {
		h := trace.Hop{TTL: i + 1, Sent: 10}
		for range h.Sent {
			chance := 0.0
			switch {
			case i == 4:
				chance = 1
			case i == 2:
				chance = 0.4
			case from > 0 && i+1 >= from:
				chance = loss
			}
			v := math.Round((d+(0.3+d/40)*rng.ExpFloat64())*1000) / 1000
			if rng.Float64() >= chance {
				h.RTTsMS = append(h.RTTsMS, v)
			}
		}
		h.Recv = len(h.RTTsMS)
		h.Loss = 1 - float64(h.Recv)/float64(h.Sent)
		if h.Recv > 0 {
			sorted := slices.Sorted(slices.Values(h.RTTsMS))
			h.BestMS, h.MedMS, h.WorstMS = sorted[0], plot.Quantile(sorted, 0.5), sorted[len(sorted)-1]
			r := trace.Router{Addr: ip(fmt.Sprintf("192.0.2.%d", i*10+1)), Name: names[i], Answers: h.Recv, IsTarget: i == 9}
			if i > 1 && i < 8 {
				r.AS = "AS64500 EXAMPLE-TRANSIT"
			}
			if i == 6 {
				r.Place = "Hong Kong, HK"
			}
			h.Routers = append(h.Routers, r)
		}
		t.Hops = append(t.Hops, h)
	}
	t.Hops[9].Routers[0].Addr = ip("10.20.0.5")
	return t
}

func base(minute int) preflight.Report {
	start := time.Date(2026, 11, 21, 2, 30, minute, 0, time.FixedZone("", 8*3600))
	return preflight.Report{
		Subject: "nightly-db", Link: "hongkong", Target: "10.20.0.5:22", Started: start, Ended: start.Add(14300 * time.Millisecond),
		Version: "0.7.0", System: "linux/amd64", Verdict: preflight.OK, Summary: "the line to hk1 is good: 0% loss, 41.2 ms",
		Findings: []preflight.Finding{
			{Check: "name", Verdict: preflight.OK, Code: "name-ok", Text: "hk1.example.net is 10.20.0.5, says 192.0.2.53", TookMS: 12.4,
				Name: &preflight.Name{Name: "hk1.example.net", Addresses: []netip.Addr{ip("10.20.0.5")}, Server: "192.0.2.53", TookMS: 12.4}},
			{Check: "link", Verdict: preflight.OK, Code: "link-ok", Text: "tunnel hongkong is up, 41 ms inside", TookMS: 210,
				Link: &preflight.Link{Kind: "ipsec", Interface: "eth0", Source: ip("198.51.100.7"), Via: ip("198.51.100.1"), Gateway: "vpn.example.net (203.0.113.9)", SAs: []string{"IKE aes256gcm16-prfsha384-ecp384, 2h14m left", "ESP aes256gcm16, 18.2 MiB in, 412 MiB out"}, RTTMS: 41.0}},
		},
	}
}

func sshFound() preflight.Finding {
	return preflight.Finding{Check: "ssh", Verdict: preflight.OK, Code: "ssh-ok", Text: "SSH-2.0-OpenSSH_9.2p1, the host key is the pinned one", TookMS: 168,
		SSH: &preflight.SSH{Banner: "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3", Offers: []string{"sntrup761x25519-sha512@openssh.com", "curve25519-sha256", "ecdh-sha2-nistp256", "diffie-hellman-group16-sha512"}, KeyTypes: []string{"ssh-ed25519", "rsa-sha2-512"},
			HostKey: "SHA256:nThbg6kXUpJWGl7E1IGOCspRomTxdCARLviKw6E5SY8", HostKeyIs: "the pinned one", RoundTrips: 3, TookMS: 168}}
}

func spaceFound() preflight.Finding {
	return preflight.Finding{Check: "space", Verdict: preflight.OK, Code: "space-ok", Text: "218.4 GiB free in /srv/backup, 3.1 GiB needed", TookMS: 2.1,
		Space: &preflight.Space{Folder: "/srv/backup", Free: 234_500_000_000, Inodes: 14_900_000, Needed: 3_300_000_000, NeedFiles: 12, Written: true, Where: "here"}}
}

func goodLine() preflight.Report {
	r := base(0)
	r.Findings = append(r.Findings,
		preflight.Finding{Check: "ping", Verdict: preflight.OK, Code: "ping-ok", Text: "60 of 60 answered, median 41.2 ms", TookMS: 12000, Ping: echoes(1, 60, 200, 40.6, 0.9, 0)},
		preflight.Finding{Check: "port", Verdict: preflight.OK, Code: "port-open", Text: "22/tcp is open, 41.1 ms", TookMS: 41.1, Ports: []port.Result{
			{Addr: ip("10.20.0.5"), Port: 22, Network: "tcp", State: port.Open, ConnectMS: 41.1},
			{Addr: ip("10.20.0.5"), Port: 123, Network: "udp", State: port.Open, ConnectMS: 41.9, Payload: "NTP", Answer: "NTP, stratum 2"}}},
		preflight.Finding{Check: "trace", Verdict: preflight.OK, Code: "trace-ok", Text: "10 hops, no loss at the host", TookMS: 1800, Trace: []*trace.Trace{way(1, 0, 0)}},
		preflight.Finding{Check: "mtu", Verdict: preflight.OK, Code: "mtu-ok", Text: "packets of 1,400 bytes pass inside the tunnel", TookMS: 640, MTU: []*pmtu.Result{
			{To: ip("10.20.0.5"), Way: "the tunnel", MTU: 1400, Least: 576, Interface: 1400, Tries: []pmtu.Try{{Size: 576, Probes: 1, Passed: true}, {Size: 1400, Probes: 1, Passed: true}}}}},
		sshFound(), spaceFound(),
		preflight.Finding{Check: "clock", Verdict: preflight.OK, Code: "clock-ok", Text: "the server's clock is 0.4 s ahead", TookMS: 130, Clock: &preflight.Clock{OffsetMS: 412, WithinMS: 500}})
	return r
}

func lossyLine() preflight.Report {
	r := goodLine()
	r.Started, r.Ended = r.Started.AddDate(0, 0, 7), r.Ended.AddDate(0, 0, 7)
	r.Verdict, r.Layer = preflight.Warn, "route"
	r.Summary = "the line to hk1 loses packets: 12% of the echoes; it starts at hop 7, which was clean on the 21st"
	r.Next = "send this report to the provider of hop 7 (AS64500 EXAMPLE-TRANSIT)"
	r.Compared = []string{"loss starts at hop 7 (hkg-b3-link.transit.example, 192.0.2.61), which was clean on 21 November"}
	p := echoes(2, 60, 200, 44, 9, 0.13)
	r.Findings[2] = preflight.Finding{Check: "ping", Verdict: preflight.Warn, Code: "ping-loss", Layer: "route", Text: fmt.Sprintf("%d of 60 answered: %s loss", p.Received, plot.Percent(p.Loss)), Hint: "look at the trace for where it begins", TookMS: 12000, Ping: p}
	t := way(6, 7, 0.2)
	r.Findings[4] = preflight.Finding{Check: "trace", Verdict: preflight.Warn, Code: "trace-loss", Layer: "route", Text: "loss starts at hop 7, hkg-b3-link.transit.example, which was clean on the 21st", Hint: "send this report to the provider of hop 7 (AS64500 EXAMPLE-TRANSIT)", TookMS: 1800, Trace: []*trace.Trace{t}}
	return r
}

func refusedPort() preflight.Report {
	r := base(1)
	r.Link, r.Verdict, r.Layer = "", preflight.Fail, "tcp"
	r.Summary, r.Next = "10.20.0.5 refuses port 22: nothing listens there", "start the SSH server on hk1, or correct the port of host hk1 in the configuration"
	r.Findings = append(r.Findings[:1],
		preflight.Finding{Check: "ping", Verdict: preflight.Unknown, Code: "ping-silent", Text: "no echo came back, and the port answers: ICMP is blocked on the way", TookMS: 3000, Ping: echoes(3, 10, 200, 1, 1, 1)},
		preflight.Finding{Check: "port", Verdict: preflight.Fail, Code: "port-refused", Layer: "tcp", Text: "22/tcp is refused in 40.7 ms", Hint: "start the SSH server on hk1, or correct the port of host hk1 in the configuration", TookMS: 40.7,
			Ports: []port.Result{{Addr: ip("10.20.0.5"), Port: 22, Network: "tcp", State: port.Refused, ConnectMS: 40.7, Error: "connection refused"}}},
		preflight.Finding{Check: "ssh", Verdict: preflight.Skipped, Code: "skipped", Text: "skipped, as the port is refused"})
	return r
}

func tunnelDown() preflight.Report {
	r := base(2)
	r.Verdict, r.Layer = preflight.Fail, "ike"
	r.Summary, r.Next = "the tunnel hongkong is down: vpn.example.net:500 does not answer", "check the gateway's address, and that UDP ports 500 and 4500 reach it"
	r.Findings[1] = preflight.Finding{Check: "link", Verdict: preflight.Fail, Code: "tunnel-silent", Layer: "ike", Text: "no answer to IKE_SA_INIT in 10 s, sent 5 times", Hint: r.Next, TookMS: 10012, Link: &preflight.Link{Kind: "ipsec", Gateway: "vpn.example.net (203.0.113.9)", Interface: "eth0", Source: ip("198.51.100.7"), Via: ip("198.51.100.1")}}
	r.Log = []string{"02:30:02 sent IKE_SA_INIT to 203.0.113.9:500", "02:30:12 no answer, given up after 5 tries"}
	for _, c := range []string{"ping", "port", "ssh"} {
		r.Findings = append(r.Findings, preflight.Finding{Check: c, Verdict: preflight.Skipped, Code: "skipped", Text: "skipped, as the link is down"})
	}
	return r
}

func blackHole() preflight.Report {
	r := goodLine()
	r.Verdict, r.Layer = preflight.Warn, "route"
	r.Summary, r.Next = "packets over 1,200 bytes vanish on the way to hk1, and nobody says so", "the tunnel's MSS is set to 1,160; ask the provider to let ICMP \"fragmentation needed\" pass"
	m := &pmtu.Result{To: ip("203.0.113.9"), Way: "outside of the tunnel", MTU: 1200, Least: 576, Interface: 1500, BlackHole: true}
	for lo, hi := 576, 1500; hi-lo > 1; {
		mid := (lo + hi) / 2
		if len(m.Tries) == 0 {
			mid = 576
		} else if len(m.Tries) == 1 {
			mid = 1500
		}
		pass := mid <= 1200
		m.Tries = append(m.Tries, pmtu.Try{Size: mid, Probes: 3, Passed: pass})
		if pass {
			lo = mid
		} else {
			hi = mid
		}
	}
	slices.SortFunc(m.Tries, func(a, b pmtu.Try) int { return a.Size - b.Size })
	r.Findings[5] = preflight.Finding{Check: "mtu", Verdict: preflight.Warn, Code: "mtu-black-hole", Layer: "route", Text: r.Summary, Hint: r.Next, TookMS: 9200, MTU: []*pmtu.Result{m}}
	return r
}

// transfer makes samples of a transfer, one each half a second, which slows
// down in the middle.
func transfer(seed uint64, slow float64) *preflight.Transfer {
	rng := rand.New(rand.NewPCG(seed, 3))
	t := &preflight.Transfer{}
	r := preflight.Rate{}
	for i := range 90 {
		share, resent := 1.0, 0.002
		if i > 34 && i < 62 {
			share, resent = slow, 0.03/slow/4
		}
		bytes := int64(4.1e6 * share * (0.9 + 0.2*rng.Float64()))
		if i < 4 {
			bytes = bytes * int64(i+1) / 5
		}
		r.AtMS += 500
		r.Bytes += bytes
		r.Sent += uint64(bytes / 1360)
		r.Resent += uint64(float64(bytes/1360) * resent * 2 * rng.Float64())
		r.RTTMS = math.Round((41+9*(1-share)+3*rng.ExpFloat64())*100) / 100
		t.Rates = append(t.Rates, r)
	}
	return t
}

func goodTransfer() preflight.Report {
	r := goodLine()
	r.Transfer = transfer(4, 0.95)
	return r
}

func withTransfer() preflight.Report {
	r := lossyLine()
	r.Transfer = transfer(5, 0.25)
	return r
}

// nights are four weeks of a job, of which the last six were bad, one failed
// and one is missing.
func nights() []plot.Night {
	rng := rand.New(rand.NewPCG(8, 8))
	var all []plot.Night
	for i := range 28 {
		n := plot.Night{
			Time: time.Date(2026, 11, 1+i, 2, 30, 0, 0, time.FixedZone("", 8*3600)), RunID: fmt.Sprintf("20261101-%03d", i), Result: "ok",
			MedianMS: 41 + rng.Float64(), P95MS: 43 + 2*rng.Float64(), JitterMS: 0.8, ResentShare: 0.001 + 0.001*rng.Float64(), BytesPerSecond: 8e6 + 3e5*rng.Float64(), Hops: 10,
		}
		switch {
		case i == 12:
			continue
		case i == 25:
			n = plot.Night{Time: n.Time, RunID: n.RunID, Result: "fail", LossShare: 1, ResentShare: -1}
		case i > 21:
			n.Result, n.LossShare, n.MedianMS, n.P95MS, n.ResentShare, n.BytesPerSecond = "warn", 0.08+0.05*rng.Float64(), 51+4*rng.Float64(), 75+8*rng.Float64(), 0.02+0.01*rng.Float64(), 5.2e6
		}
		all = append(all, n)
	}
	return all
}
