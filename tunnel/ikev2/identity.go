package ikev2

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"strings"

	"linehaul/tunnel/ikemsg"
)

// sameIdentity compares two identities as RFC 4945 section 3.1 does: host names
// and the hosts of e-mail addresses without regard to case, distinguished names
// by what they say.
func sameIdentity(a, b ikemsg.Identity) bool {
	if a.Kind != b.Kind {
		return false
	}
	switch a.Kind {
	case ikemsg.IDFQDN:
		return strings.EqualFold(string(a.Data), string(b.Data))
	case ikemsg.IDEmail:
		return sameMail(string(a.Data), string(b.Data))
	case ikemsg.IDName:
		return sameName(a.Data, b.Data)
	case ikemsg.IDIPv4, ikemsg.IDIPv6, ikemsg.IDGeneralName, ikemsg.IDKey, ikemsg.IDNull:
	}
	return bytes.Equal(a.Data, b.Data)
}

// sameMail compares two addresses: what stands before the @ is the host's own
// matter (RFC 5280 section 7.5).
func sameMail(a, b string) bool {
	i, j := strings.LastIndexByte(a, '@'), strings.LastIndexByte(b, '@')
	if i < 0 || j < 0 {
		return a == b
	}
	return a[:i] == b[:j] && strings.EqualFold(a[i:], b[j:])
}

// sameName compares two distinguished names in DER: the same attributes in the
// same order, whatever type of string they are written in, without regard to
// case and repeated blanks (RFC 5280 section 7.1).
func sameName(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return len(a) > 0
	}
	var one, other pkix.RDNSequence
	if !whole(a, &one) || !whole(b, &other) || len(one) != len(other) {
		return false
	}
	for i := range one {
		if len(one[i]) != len(other[i]) {
			return false
		}
		for j := range one[i] {
			if !one[i][j].Type.Equal(other[i][j].Type) || !sameValue(one[i][j].Value, other[i][j].Value) {
				return false
			}
		}
	}
	return true
}

func whole(der []byte, to any) bool {
	rest, err := asn1.Unmarshal(der, to)
	return err == nil && len(rest) == 0
}

func sameValue(a, b any) bool {
	one, ok := a.(string)
	other, too := b.(string)
	return ok && too && strings.EqualFold(strings.Join(strings.Fields(one), " "), strings.Join(strings.Fields(other), " "))
}

// shownIdentity is an identity for people: distinguished names as they are
// written, and not their DER.
func shownIdentity(id ikemsg.Identity) string {
	var name pkix.RDNSequence
	if id.Kind == ikemsg.IDName && whole(id.Data, &name) {
		return fmt.Sprintf("%q", name.String())
	}
	return id.String()
}
