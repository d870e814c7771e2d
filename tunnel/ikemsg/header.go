package ikemsg

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// Version is 2.0, as the header has it: major and minor in four bits each
// (RFC 7296 section 3.1).
const Version = 0x20

// An SPI is one side's name of an IKE SA.
type SPI [8]byte

// String is the SPI in hexadecimal, as tools print it.
func (s SPI) String() string { return hex.EncodeToString(s[:]) }

// IsZero reports whether it is the SPI that a side has not chosen yet.
func (s SPI) IsZero() bool { return s == SPI{} }

// Flags of a header (RFC 7296 section 3.1).
type Flags uint8

// The flags. Those of IKEv1 are the lowest three bits (RFC 2408 section 3.1).
const (
	FlagInitiator     Flags = 0x08 // sent by the original initiator of the IKE SA
	FlagHigherVersion Flags = 0x10 // the sender could speak a higher version
	FlagResponse      Flags = 0x20 // the answer to the message of the same id
)

// Initiator reports whether the sender is the original initiator of the IKE SA.
func (f Flags) Initiator() bool { return f&FlagInitiator != 0 }

// Response reports whether the message is an answer.
func (f Flags) Response() bool { return f&FlagResponse != 0 }

// A Header stands before the payloads. Its length is not kept, as it is that
// of the datagram.
type Header struct {
	InitiatorSPI SPI
	ResponderSPI SPI
	Next         PayloadType // of the first payload; when it is written, it follows from the payloads
	Version      uint8       // 0 is written as Version
	Exchange     ExchangeType
	Flags        Flags
	MessageID    uint32
}

// Response reports whether the message is an answer.
func (h Header) Response() bool { return h.Flags.Response() }

// FromInitiator reports whether the original initiator of the IKE SA sent it.
func (h Header) FromInitiator() bool { return h.Flags.Initiator() }

// String says what a line in a log needs: exchange, direction, message id.
func (h Header) String() string {
	direction := "request"
	if h.Response() {
		direction = "response"
	}
	return fmt.Sprintf("%v %s %d", h.Exchange, direction, h.MessageID)
}

// ParseHeader reads the header of IKEv2 or IKEv1 and checks the length in it,
// so that a datagram can be handed to the SA that it is for. The minor version
// does not matter (RFC 7296 section 2.5).
func ParseHeader(datagram []byte) (Header, error) {
	h, err := parseHeader(datagram)
	if err != nil {
		return h, err
	}
	return h, nil
}

func parseHeader(datagram []byte) (Header, *Error) {
	var h Header
	if len(datagram) < HeaderSize {
		return h, malformed("%d bytes are no header", len(datagram))
	}
	if len(datagram) > MaxDatagram {
		return h, tooLarge("%d bytes in a datagram", len(datagram))
	}
	copy(h.InitiatorSPI[:], datagram)
	copy(h.ResponderSPI[:], datagram[8:])
	h.Next = PayloadType(datagram[16])
	h.Version = datagram[17]
	h.Exchange = ExchangeType(datagram[18])
	h.Flags = Flags(datagram[19])
	h.MessageID = binary.BigEndian.Uint32(datagram[20:])
	// RFC 7296 section 3.1: it must not be zero.
	if h.InitiatorSPI.IsZero() {
		return h, malformed("its initiator has no SPI")
	}
	if n := binary.BigEndian.Uint32(datagram[24:]); uint64(n) != uint64(len(datagram)) {
		return h, malformed("its header speaks of %d bytes, and there are %d", n, len(datagram))
	}
	return h, nil
}

// append writes the header. The length is written by what knows it.
func (h Header) append(e *encoder, next PayloadType) {
	e.bytes(h.InitiatorSPI[:])
	e.bytes(h.ResponderSPI[:])
	e.uint8(uint8(next))
	if h.Version == 0 {
		h.Version = Version
	}
	e.uint8(h.Version)
	e.uint8(uint8(h.Exchange))
	e.uint8(uint8(h.Flags))
	e.uint32(h.MessageID)
	e.uint32(0)
}
