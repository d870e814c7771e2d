package ikev2

import (
	"crypto/des"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"strings"
	"time"
	"unicode/utf16"

	"golang.org/x/crypto/md4" //nolint:staticcheck // what MSCHAPv2 is made of

	"linehaul/fault"
	"linehaul/tunnel/ikemsg"
)

// mschapv2 is EAP-MSCHAPv2 (draft-kamath-pppext-eap-mschapv2, RFC 2759): both
// sides prove that they know the password, and make a key of it (RFC 3079).
type mschapv2 struct {
	user     string
	password []byte
	random   io.Reader

	response *ikemsg.NTResponse // ours
	want     [20]byte           // what the gateway must prove itself by
	hash     [16]byte           // of the password
	proved   bool               // it has
	refusal  *ikemsg.MSCHAPv2Verdict
}

func (m *mschapv2) answer(_ time.Time, p *ikemsg.EAP) (*ikemsg.EAP, error) {
	msg, err := ikemsg.ParseMSCHAPv2(p.Data)
	if err != nil {
		return nil, fault.New(fault.IKE, "the gateway's EAP-MSCHAPv2: %w", err)
	}
	switch msg.Op {
	case ikemsg.MSCHAPv2Challenge:
		return m.respond(p, msg)
	case ikemsg.MSCHAPv2Success:
		verdict, err := msg.Verdict()
		switch {
		case err != nil:
			return nil, fault.New(fault.IKE, "the gateway's EAP-MSCHAPv2: %w", err)
		case m.response == nil || !verdict.HasAuthenticator || subtle.ConstantTimeCompare(verdict.Authenticator[:], m.want[:]) != 1:
			return nil, fault.New(fault.GatewayLogin, "the gateway calls the login of %q a success and does not know the password", m.user).AsPermanent().
				WithHint("somebody stands in between, or lets everybody in")
		}
		m.proved = true
		return p.Reply((&ikemsg.MSCHAPv2{Op: ikemsg.MSCHAPv2Success}).Marshal()), nil
	case ikemsg.MSCHAPv2Failure:
		if m.refusal, err = msg.Verdict(); err != nil {
			return nil, fault.New(fault.IKE, "the gateway's EAP-MSCHAPv2: %w", err)
		}
		// A retry would be with the same password.
		return p.Reply((&ikemsg.MSCHAPv2{Op: ikemsg.MSCHAPv2Failure}).Marshal()), nil
	case ikemsg.MSCHAPv2Response, ikemsg.MSCHAPv2ChangePassword:
	}
	return nil, fault.New(fault.IKE, "the gateway sends an EAP-MSCHAPv2 %v", msg.Op)
}

// respond answers a challenge (RFC 2759 section 8).
func (m *mschapv2) respond(p *ikemsg.EAP, msg *ikemsg.MSCHAPv2) (*ikemsg.EAP, error) {
	challenge, _, err := msg.Challenge()
	if err != nil {
		return nil, fault.New(fault.IKE, "the gateway's EAP-MSCHAPv2: %w", err)
	}
	if m.response != nil {
		return nil, fault.New(fault.IKE, "the gateway challenges twice in EAP-MSCHAPv2")
	}
	r := &ikemsg.NTResponse{Name: []byte(m.user)}
	if _, err := io.ReadFull(m.random, r.PeerChallenge[:]); err != nil {
		return nil, fault.New(fault.Internal, "read random bytes: %w", err)
	}
	m.hash = passwordHash(m.password)
	hash := challengeHash(r.PeerChallenge, challenge, m.user)
	r.Response = ntResponse(hash, m.hash)
	m.want = authenticatorResponse(m.hash, r.Response, hash)
	m.response = r
	return p.Reply(ikemsg.NewResponse(msg.Identifier, r).Marshal()), nil
}

func (m *mschapv2) finish() ([]byte, error) {
	if !m.proved {
		return nil, fault.New(fault.GatewayLogin, "the gateway ends EAP-MSCHAPv2 before it has shown that it knows the password").AsPermanent()
	}
	return mschapKey(m.hash, m.response.Response), nil
}

// failed says what the server has said (RFC 2759 section 6).
func (m *mschapv2) failed() error {
	if m.refusal == nil {
		return wrongPassword(m.user)
	}
	words := map[int]string{
		646: "not at this hour", 647: "the account is disabled", 648: "the password has expired",
		649: "no right to dial in", 691: "wrong user or password", 709: "the password must be changed",
	}
	why := words[m.refusal.Code]
	if why == "" {
		why = fmt.Sprintf("error %d", m.refusal.Code)
	}
	if text := shownText([]byte(m.refusal.Message)); text != "" {
		why += fmt.Sprintf(", it says %q", text)
	}
	return fault.New(fault.GatewayLogin, "the gateway does not let the EAP user %q in: %s", m.user, why).AsPermanent().
		WithHint("check the user and the password of the link's `eap`")
}

func (m *mschapv2) stop() {}

// passwordHash is NtPasswordHash of RFC 2759 section 8.3: MD4 over UTF-16.
func passwordHash(password []byte) [16]byte {
	h := md4.New()
	for _, unit := range utf16.Encode([]rune(string(password))) {
		h.Write(binary.LittleEndian.AppendUint16(nil, unit))
	}
	return [16]byte(h.Sum(nil))
}

// challengeHash is ChallengeHash of section 8.2: of the user without a domain.
func challengeHash(peer, authenticator [16]byte, user string) [8]byte {
	h := sha1.New()
	h.Write(peer[:])
	h.Write(authenticator[:])
	h.Write([]byte(user[strings.LastIndexByte(user, '\\')+1:]))
	return [8]byte(h.Sum(nil)[:8])
}

// ntResponse is ChallengeResponse of section 8.5: the challenge under three keys
// of DES, which are the password's hash.
func ntResponse(challenge [8]byte, hash [16]byte) (response [24]byte) {
	var padded [21]byte
	copy(padded[:], hash[:])
	for i := range 3 {
		key := desKey([7]byte(padded[7*i : 7*i+7]))
		block, err := des.NewCipher(key[:])
		if err != nil {
			panic("ikev2: " + err.Error()) // DES takes any 8 bytes
		}
		block.Encrypt(response[8*i:8*i+8], challenge[:])
	}
	return response
}

// desKey spreads 56 bits over 8 bytes, each with its parity (section 8.6).
func desKey(from [7]byte) (key [8]byte) {
	var all uint64
	for _, b := range from {
		all = all<<8 | uint64(b)
	}
	for i := range key {
		b := byte(all>>(49-7*i)) << 1
		key[i] = b | byte(1-bits.OnesCount8(b)%2)
	}
	return key
}

// authenticatorResponse is GenerateAuthenticatorResponse of section 8.7.
func authenticatorResponse(hash [16]byte, response [24]byte, challenge [8]byte) [20]byte {
	again := hashHash(hash)
	first := sum1(again[:], response[:], []byte("Magic server to client signing constant"))
	return sum1(first[:], challenge[:], []byte("Pad to make it do more than one iteration"))
}

// hashHash is HashNtPasswordHash of section 8.4.
func hashHash(hash [16]byte) [16]byte {
	h := md4.New()
	h.Write(hash[:])
	return [16]byte(h.Sum(nil))
}

func sum1(parts ...[]byte) [20]byte {
	return sha1.Sum(concat(parts...))
}

// mschapKey is the MSK (RFC 3079 section 3.4): the key of what the client sends,
// that of what it receives, and zeros up to 64 bytes.
func mschapKey(hash [16]byte, response [24]byte) []byte {
	again := hashHash(hash)
	master := sum1(again[:], response[:], []byte("This is the MPPE Master Key"))
	side := func(magic string) []byte {
		var zeros [40]byte
		var f2s [40]byte
		for i := range f2s {
			f2s[i] = 0xf2
		}
		key := sum1(master[:16], zeros[:], []byte(magic), f2s[:])
		return key[:16]
	}
	const (
		clientSends    = "On the client side, this is the send key; on the server side, it is the receive key."
		clientReceives = "On the client side, this is the receive key; on the server side, it is the send key."
	)
	return concat(side(clientSends), side(clientReceives), make([]byte, 32))
}
