package ikemsg_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"linehaul/tunnel/ikemsg"
)

var update = flag.Bool("update", false, "write the descriptions of the captures anew")

// A capture is what two strongSwans said to each other, with their keys.
type capture struct {
	name string
	keys map[[2]ikemsg.SPI]*keys
	said []said
}

// said is one datagram; out is from the initiator of the tunnel.
type said struct {
	out bool
	b   []byte
}

// keys are those of one IKE SA: of its original initiator, and its responder.
type keys struct{ initiator, responder ikemsg.Protection }

func captures(t testing.TB) []*capture {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 12 {
		t.Fatalf("%d captures, %v", len(files), err)
	}
	var all []*capture
	for _, f := range files {
		all = append(all, readCapture(t, f))
	}
	return all
}

func readCapture(t testing.TB, file string) *capture {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c := &capture{name: strings.TrimSuffix(filepath.Base(file), ".txt"), keys: map[[2]ikemsg.SPI]*keys{}}
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		switch {
		case len(f) == 0 || f[0] == "#":
		case f[0] == "keys" && len(f) == 8:
			id := [2]ikemsg.SPI{ikemsg.SPI(unhex(t, f[1])), ikemsg.SPI(unhex(t, f[2]))}
			c.keys[id] = &keys{protection(t, f[3], f[4], f[6]), protection(t, f[3], f[5], f[7])}
		case f[0] == "->" || f[0] == "<-":
			c.said = append(c.said, said{f[0] == "->", unhex(t, f[1])})
		default:
			t.Fatalf("%s: %.60s", file, lines.Text())
		}
	}
	if lines.Err() != nil || len(c.said) < 2 {
		t.Fatalf("%s: %d datagrams, %v", file, len(c.said), lines.Err())
	}
	return c
}

func protection(t testing.TB, proposal, encryption, integrity string) ikemsg.Protection {
	t.Helper()
	switch name, rest, _ := strings.Cut(proposal, "/"); {
	case strings.HasPrefix(name, "AES_CBC_") && strings.HasPrefix(rest, "HMAC_SHA2_256_128"):
		return newCBC(t, unhex(t, encryption), unhex(t, integrity))
	case strings.HasPrefix(name, "AES_GCM_16_"):
		return newGCM(t, unhex(t, encryption))
	}
	t.Fatalf("no protection for %s", proposal)
	return nil
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatalf("%.40s: %v", s, err)
	}
	return b
}

// of gives what opens m.
func (c *capture) of(m *ikemsg.Message) ikemsg.Protection {
	k := c.keys[[2]ikemsg.SPI{m.InitiatorSPI, m.ResponderSPI}]
	switch {
	case k == nil:
		return nil
	case m.FromInitiator():
		return k.initiator
	}
	return k.responder
}

// open calls each with every message, whole and opened, with its last datagram
// and what opened it, which is nil for one in clear.
func (c *capture) open(t testing.TB, each func(s said, m *ikemsg.Message, p ikemsg.Protection)) {
	t.Helper()
	all := map[[2]ikemsg.SPI]*ikemsg.Reassembly{}
	for i, s := range c.said {
		m, err := ikemsg.Parse(s.b)
		if err != nil {
			t.Fatalf("%s, datagram %d: %v", c.name, i, err)
		}
		var p ikemsg.Protection
		if m.Exchange != ikemsg.IKESAInit {
			if p = c.of(m); p == nil {
				t.Fatalf("%s, datagram %d: no keys for %v", c.name, i, m)
			}
			id := [2]ikemsg.SPI{m.InitiatorSPI, m.ResponderSPI}
			if all[id] == nil {
				all[id] = &ikemsg.Reassembly{}
			}
			if m, err = all[id].Open(m, s.b, p); err != nil {
				t.Fatalf("%s, datagram %d: %v", c.name, i, err)
			}
		}
		if m != nil {
			each(s, m, p)
		}
	}
}

// TestCaptures opens everything that the strongSwans said and describes it as
// the golden files do, and writes it again: the same bytes.
func TestCaptures(t *testing.T) {
	for _, c := range captures(t) {
		t.Run(c.name, func(t *testing.T) {
			var b strings.Builder
			c.open(t, func(s said, m *ikemsg.Message, p ikemsg.Protection) {
				describe(&b, s, m)
				if p == nil {
					if !bytes.Equal(m.Marshal(), s.b) {
						t.Errorf("%v is written as\n%x, came as\n%x", m, m.Marshal(), s.b)
					}
					return
				}
				signed, err := ikemsg.IntermediateAuth(m.Header, m.Payloads)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(signed, m.IntermediateAuth()) {
					t.Errorf("%v is written as\n%x, came as\n%x", m, signed, m.IntermediateAuth())
				}
			})
			golden := filepath.Join("testdata", c.name+".golden")
			if *update {
				if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if b.String() != string(want) {
				t.Errorf("got\n%s\nwant\n%s", b.String(), want)
			}
		})
	}
}

// describe writes what a message says, without what is random or long.
func describe(b *strings.Builder, s said, m *ikemsg.Message) {
	arrow := map[bool]string{true: "->", false: "<-"}[s.out]
	fmt.Fprintf(b, "%s %v\n", arrow, m)
	for _, p := range m.Payloads {
		switch p := p.(type) {
		case *ikemsg.SA:
			for _, p := range p.Proposals {
				fmt.Fprintf(b, "     SA %d %v, SPI of %d:", p.Number, p.Protocol, len(p.SPI))
				for _, t := range p.Transforms {
					fmt.Fprintf(b, " %v", t)
					if len(t.Attributes) > 0 {
						fmt.Fprintf(b, "%v", t.Attributes)
					}
				}
				fmt.Fprintln(b)
			}
		case *ikemsg.KE:
			fmt.Fprintf(b, "     KE %d, %d bytes\n", p.Group, len(p.Data))
		case *ikemsg.IDi:
			fmt.Fprintf(b, "     IDi %v\n", p)
		case *ikemsg.IDr:
			fmt.Fprintf(b, "     IDr %v\n", p)
		case *ikemsg.Cert:
			fmt.Fprintf(b, "     CERT %v, %s\n", p.Encoding, some(len(p.Data)))
		case *ikemsg.CertReq:
			fmt.Fprintf(b, "     CERTREQ %v, %d CAs\n", p.Encoding, len(p.Hashes()))
		case *ikemsg.Auth:
			fmt.Fprintf(b, "     AUTH %v, %s\n", p.Method, some(len(p.Data)))
			if p.Method == ikemsg.AuthDigitalSignature {
				algorithm, _, err := ikemsg.SplitSignature(p.Data)
				fmt.Fprintf(b, "     AUTH algorithm %x %v\n", algorithm, err)
			}
		case *ikemsg.Notify:
			describeNotify(b, p)
		case *ikemsg.Delete:
			fmt.Fprintf(b, "     D %v, %d SPIs\n", p.Protocol, len(p.SPIs))
		case *ikemsg.TSi:
			fmt.Fprintf(b, "     TSi %v\n", p.Selectors)
		case *ikemsg.TSr:
			fmt.Fprintf(b, "     TSr %v\n", p.Selectors)
		case *ikemsg.Config:
			for _, a := range p.Attributes {
				addr, _ := a.Address()
				prefix, _ := a.Prefix()
				fmt.Fprintf(b, "     CP %v, %d bytes, %v, %v\n", a.Kind, len(a.Value), addr, prefix)
			}
		case *ikemsg.EAP:
			describeEAP(b, p)
		case *ikemsg.Unknown:
			fmt.Fprintf(b, "     unknown %v, %d bytes\n", p.Kind, len(p.Body))
		}
	}
}

func describeNotify(b *strings.Builder, n *ikemsg.Notify) {
	if n.Kind.IsError() || len(n.SPI) > 0 {
		fmt.Fprintf(b, "     N %v, error %v, %v with %d bytes of SPI, %d of data\n", n.Kind, n.Kind.IsError(), n.Protocol, len(n.SPI), len(n.Data))
	}
	if g, ok := n.Group(); ok {
		fmt.Fprintf(b, "     N group %d\n", g)
	}
	if h := n.HashAlgorithms(); h != nil {
		fmt.Fprintf(b, "     N hashes %v\n", h)
	}
	if a, ok := n.Address(); ok {
		fmt.Fprintf(b, "     N address %v\n", a)
	}
}

func describeEAP(b *strings.Builder, p *ikemsg.EAP) {
	switch p.Kind {
	case ikemsg.EAPIdentity:
		fmt.Fprintf(b, "     EAP identity %q\n", p.Data)
	case ikemsg.EAPMD5:
		c, err := ikemsg.ParseMD5Challenge(p.Data)
		fmt.Fprintf(b, "     EAP value of %d, name %q %v\n", len(c.Value), c.Name, err)
	case ikemsg.EAPTLS:
		f, err := ikemsg.ParseTLSFragment(p.Data)
		fmt.Fprintf(b, "     EAP start %v, more %v, sized %v, data %v %v\n", f.Start, f.More, f.Sized, len(f.Data) > 0, err)
	case ikemsg.EAPMSCHAPv2:
		m, err := ikemsg.ParseMSCHAPv2(p.Data)
		if err != nil {
			fmt.Fprintln(b, "     EAP", err)
			return
		}
		fmt.Fprintf(b, "     EAP %v", m.Op)
		switch {
		case m.Op == ikemsg.MSCHAPv2Challenge:
			_, name, err := m.Challenge()
			fmt.Fprintf(b, " of %q %v", name, err)
		case m.Op == ikemsg.MSCHAPv2Response:
			r, err := m.Response()
			fmt.Fprintf(b, " of %q, flags %d %v", r.Name, r.Flags, err)
		case len(m.Body) > 0:
			v, err := m.Verdict()
			fmt.Fprintf(b, " authenticator %v, code %d, retry %v, %q %v", v.HasAuthenticator, v.Code, v.Retry, v.Message, err)
		}
		fmt.Fprintln(b)
	default:
	}
}

// some hides a length that changes with each recording: DER of signatures.
func some(n int) string {
	if n > 32 {
		return "more than 32 bytes"
	}
	return fmt.Sprintf("%d bytes", n)
}
