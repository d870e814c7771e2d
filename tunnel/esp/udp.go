package esp

import "encoding/binary"

// A Kind is what a datagram of the port that IKE and ESP share carries,
// RFC 3948 section 2.
type Kind int

const (
	Junk      Kind = iota // too short for anything, or of an SPI that nobody may have
	Packet                // ESP
	IKE                   // IKE, behind its marker
	Keepalive             // one byte that keeps a NAT from forgetting
)

// String returns the kind in a word.
func (k Kind) String() string {
	switch k {
	case Junk:
		return "junk"
	case Packet:
		return "ESP"
	case IKE:
		return "IKE"
	case Keepalive:
		return "keepalive"
	}
	return "unknown"
}

const (
	markerSize    = 4    // the non-ESP marker: zeros where ESP has its SPI, section 2.2
	keepaliveByte = 0xff // section 2.3
)

// Sort tells what a datagram of port 4500 carries.
func Sort(datagram []byte) Kind {
	switch n := len(datagram); {
	case n == 1 && datagram[0] == keepaliveByte:
		return Keepalive
	case n <= markerSize:
		return Junk
	}
	spi, ok := SPI(datagram)
	switch {
	case binary.BigEndian.Uint32(datagram) == 0:
		return IKE
	case ok && spi >= minSPI:
		return Packet
	}
	return Junk
}

// AppendIKE appends to dst what carries an IKE message over port 4500.
func AppendIKE(dst, message []byte) []byte {
	return append(append(dst, 0, 0, 0, 0), message...)
}

// TrimIKE returns the IKE message in a datagram that is of Kind IKE.
func TrimIKE(datagram []byte) []byte { return datagram[markerSize:] }

// AppendKeepalive appends to dst a datagram that keeps a NAT from forgetting.
func AppendKeepalive(dst []byte) []byte { return append(dst, keepaliveByte) }

// SPI returns the SPI that an ESP packet names, if it has a whole header.
func SPI(packet []byte) (spi uint32, ok bool) {
	if len(packet) < headSize {
		return 0, false
	}
	return binary.BigEndian.Uint32(packet), true
}
