package gateway

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"sync"
)

// LanName is the name of the host behind the gateway. Only the DNS server
// there knows it, which the gateway names to its clients.
const LanName = "inner.lab.test"

// serveNames answers DNS queries over UDP at the host behind the gateway, from
// this process. It knows LanName, and no other name.
func (g *Gateway) serveNames() {
	g.t.Helper()
	var serving sync.WaitGroup
	var conns []net.PacketConn
	for _, addr := range []string{Lan, Lan6} {
		conn, err := g.LanHost.ListenPacket(context.Background(), "udp", net.JoinHostPort(addr, "53"))
		if err != nil {
			g.t.Fatal(err)
		}
		conns = append(conns, conn)
		serving.Go(func() {
			b := make([]byte, 512) // RFC 1035 4.2.1
			for {
				n, from, err := conn.ReadFrom(b)
				if err != nil {
					return
				}
				if reply := answer(b[:n]); reply != nil {
					conn.WriteTo(reply, from)
				}
			}
		})
	}
	g.t.Cleanup(func() {
		for _, c := range conns {
			c.Close()
		}
		serving.Wait()
	})
}

// answer is the reply to a query of one question; nil to what is none.
//
//	id(2) flags(2) questions(2) answers(2) authorities(2) additional(2)
//	question: labels, 0, type(2) class(2)
//	answer:   pointer to the name(2) type(2) class(2) seconds(4) length(2) data   (RFC 1035 4.1)
func answer(query []byte) []byte {
	const header, response, nameError = 12, 0x8000, 3
	if len(query) < header || query[2]&0x80 != 0 || binary.BigEndian.Uint16(query[4:]) != 1 {
		return nil
	}
	var labels []string
	at := header
	for at < len(query) && query[at] != 0 {
		end := at + 1 + int(query[at])
		if query[at] > 63 || end > len(query) { // RFC 1035 2.3.4: a label's size
			return nil
		}
		labels = append(labels, string(query[at+1:end]))
		at = end
	}
	at++
	if at+4 > len(query) {
		return nil
	}
	kind := binary.BigEndian.Uint16(query[at:])
	reply := append([]byte(nil), query[:at+4]...)
	flags := response | binary.BigEndian.Uint16(query[2:])&0x0100 | 0x0480 // recursion as desired; authority, recursion at hand
	for i := 6; i < header; i++ {
		reply[i] = 0
	}
	var data []byte
	switch known := strings.EqualFold(strings.Join(labels, "."), LanName); {
	case !known:
		flags |= nameError
	case kind == 1: // A
		data = netip.MustParseAddr(Lan).AsSlice()
	case kind == 28: // AAAA (RFC 3596)
		data = netip.MustParseAddr(Lan6).AsSlice()
	}
	if data != nil {
		reply[7] = 1
		reply = append(reply, 0xc0, header)
		reply = binary.BigEndian.AppendUint16(reply, kind)
		reply = append(reply, 0, 1, 0, 0, 0, 60)
		reply = binary.BigEndian.AppendUint16(reply, uint16(len(data)))
		reply = append(reply, data...)
	}
	binary.BigEndian.PutUint16(reply[2:], flags)
	return reply
}
