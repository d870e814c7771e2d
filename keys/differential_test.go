package keys_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"linehaul/internal/lab"
	"linehaul/keys"
)

// A family is a kind of file, and the program that judges it.
type family struct {
	name  string
	tool  string
	seeds []string // files of the corpus; of encrypted ones those whose passphrase is cheap
	judge func(t *testing.T, path, passphrase string) (print, said string)
	// reasons are the differences that are allowed.
	reasons []difference
}

// A difference is a reason why we judge otherwise than the program.
type difference struct {
	ours bool // we load it, the program does not; or the other way round
	why  string
	when func(c *mutant) bool
}

// A mutant is a file of the corpus with one thing changed.
type mutant struct {
	seed, change string
	whole        []byte // as it was
	data         []byte
	err          error  // ours
	said         string // the program's
}

// mutations is how many files are made in a family.
const mutations = 300

// TestDifferential changes files of the corpus, always in the same ways, and
// holds what we make of them against what puttygen and ssh-keygen do: who loads
// it, and with what fingerprint.
func TestDifferential(t *testing.T) {
	lab.Need(t, "puttygen", "ssh-keygen")
	n := mutations
	if s := os.Getenv("LINEHAUL_MUTATIONS"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	phrases := map[string]string{}
	for _, row := range corpus(t) {
		if row.print != "" {
			phrases[row.file] = row.passphrase
		}
	}
	for i, f := range families() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(uint64(i), 3))
			count := map[string]int{}
			for range n {
				seed := f.seeds[random.IntN(len(f.seeds))]
				phrase, ok := phrases[seed]
				if !ok {
					t.Fatalf("%s is no good file of the corpus", seed)
				}
				m := mutate(random, seed, []byte(testdata(t, filepath.Join("corpus", seed))))
				count[f.compare(t, m, phrase)]++
			}
			for _, what := range slices.Sorted(maps.Keys(count)) {
				t.Logf("%5d %s", count[what], what)
			}
			if count[bothLoad] < n/20 || count[bothRefuse] < n/4 {
				t.Error("the changes are not what they should be")
			}
		})
	}
}

const (
	bothLoad   = "loaded by both"
	bothRefuse = "refused by both"
)

// compare returns how the verdicts are to each other.
func (f *family) compare(t *testing.T, m *mutant, phrase string) string {
	t.Helper()
	path := write(t, filepath.Join(t.TempDir(), "key"), string(m.data))
	theirs, said := f.judge(t, path, phrase)
	m.said = said
	ours := ""
	if f.name == "public" {
		var info *keys.Info
		if info, m.err = keys.Inspect(m.data); m.err == nil {
			ours = info.Fingerprint
		}
	} else {
		var key *keys.PrivateKey
		if key, m.err = keys.ParsePrivate(m.data, []byte(phrase)); m.err == nil {
			ours = printOf(t, key)
		}
	}
	if m.err != nil {
		sorted(t, m.err)
	}
	switch {
	case ours == theirs && ours != "":
		return bothLoad
	case ours == theirs:
		return bothRefuse
	case ours != "" && theirs != "":
		t.Errorf("%s, %s: loaded as %s here, as %s by %s\n%q", m.seed, m.change, ours, theirs, f.tool, m.data)
		return "loaded as different keys"
	}
	for _, d := range f.reasons {
		if d.ours == (ours != "") && d.when(m) {
			who := f.tool
			if d.ours {
				who = "us"
			}
			return "loaded by " + who + " alone: " + d.why
		}
	}
	t.Errorf("%s, %s: we say %v, %s says %q %q\n%q", m.seed, m.change, m.err, f.tool, theirs, m.said, m.data)
	return "not explained"
}

// run runs a program and returns what it printed; the error says that it failed.
func run(t *testing.T, program string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, lab.Path(program), args...).CombinedOutput()
	if ctx.Err() != nil {
		t.Errorf("%s %q did not end", program, args)
	}
	return strings.TrimSpace(string(out)), err
}

// judgePuttygen has the whole key written in another form, as only the public
// half is read for less.
func judgePuttygen(t *testing.T, path, phrase string) (print, said string) {
	t.Helper()
	old := write(t, path+".phrase", phrase+"\n")
	said, err := run(t, "puttygen", path, "-O", "private-openssh", "-o", path+".out", "--old-passphrase", old, "--new-passphrase", os.DevNull)
	text, readErr := os.ReadFile(path + ".out")
	if err != nil || readErr != nil {
		return "", said
	}
	signer, err := ssh.ParsePrivateKey(text)
	if err != nil {
		t.Errorf("puttygen writes what the SSH library does not read: %v", err)
		return "", said
	}
	return ssh.FingerprintSHA256(signer.PublicKey()), said
}

func judgeKeygen(t *testing.T, path, phrase string) (print, said string) {
	t.Helper()
	said, err := run(t, "ssh-keygen", "-y", "-P", phrase, "-f", path)
	if err != nil {
		return "", said
	}
	return fingerprintIn(t, said), said
}

// fingerprintIn takes the key out of TYPE BASE64, also where it is one that the
// SSH library does not take.
func fingerprintIn(t *testing.T, line string) string {
	t.Helper()
	words := strings.Fields(line)
	if len(words) < 2 {
		t.Errorf("ssh-keygen printed %q", line)
		return ""
	}
	blob, err := base64.StdEncoding.DecodeString(words[1])
	if err != nil {
		t.Errorf("ssh-keygen printed %q: %v", line, err)
	}
	sum := sha256.Sum256(blob)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// judgePublic asks for the fingerprint; a file in RFC 4716's form has to be
// converted for it.
func judgePublic(t *testing.T, path, _ string) (print, said string) {
	t.Helper()
	said, err := run(t, "ssh-keygen", "-l", "-f", path)
	if words := strings.Fields(said); err == nil && len(words) > 1 {
		return words[1], said
	}
	converted, err := run(t, "ssh-keygen", "-i", "-f", path)
	if err != nil {
		return "", said + "; " + converted
	}
	return fingerprintIn(t, converted), converted
}

// mutate changes one thing.
func mutate(random *rand.Rand, seed string, data []byte) *mutant {
	m := &mutant{seed: seed, whole: data}
	i := random.IntN(len(data))
	lines := strings.SplitAfter(strings.TrimSuffix(string(data), "\n"), "\n")
	lines[len(lines)-1] += "\n"
	l := random.IntN(len(lines))
	name := func(what string) { m.change = fmt.Sprintf("line %d: %s", l+1, what) }
	edit := func(what string, line string) []byte {
		name(what)
		lines[l] = line
		return []byte(strings.Join(lines, ""))
	}
	bare := strings.TrimSuffix(lines[l], "\n")
	switch random.IntN(8) {
	case 0:
		m.change = fmt.Sprintf("cut off at %d", i)
		m.data = data[:i]
	case 1:
		m.data = bytes.Clone(data)
		bit := random.IntN(8)
		m.data[i] ^= 1 << bit
		m.change = fmt.Sprintf("bit %d of byte %d", bit, i)
	case 2:
		end := []string{"\r\n", "\r", "\n\n", "\r\r\n", "\n\r", " \n", "\t\n", "\n ", ""}[random.IntN(9)]
		if random.IntN(2) == 0 {
			m.data = edit(fmt.Sprintf("ends with %q", end), bare+end)
			break
		}
		m.change = fmt.Sprintf("all lines end with %q", end)
		m.data = []byte(strings.ReplaceAll(string(data), "\n", end))
	case 3:
		other := (l + 1) % len(lines)
		switch random.IntN(6) {
		case 0:
			m.data = edit("dropped", "")
		case 1:
			m.data = edit("twice", lines[l]+lines[l])
		case 2:
			lines[other], lines[l] = lines[l], lines[other]
			m.data = edit("swapped with the next", lines[l])
		case 3:
			m.data = edit("split", bare[:len(bare)/2]+"\n"+bare[len(bare)/2:]+"\n")
		case 4:
			m.data = edit("blank at its start", " "+lines[l])
		case 5:
			m.data = edit("one like it after it", lines[l]+"X-Header: value\n")
		}
	case 4, 5: // a value, where there is one
		head, value, ok := strings.Cut(bare, ": ")
		if !ok {
			m.change = fmt.Sprintf("a byte put in at %d", i)
			m.data = slices.Insert(bytes.Clone(data), i, []byte("\r\n\t +0:=/Az-\x00\x80\xff")[random.IntN(15)])
			break
		}
		value = []string{"0", "1", "-1", "+" + value, "2147483648", "4294967296", "", value + "0", "0" + value, " " + value, value + " ",
			strings.ToUpper(value), strings.ToLower(value), "none", "x"}[random.IntN(15)]
		m.data = edit(fmt.Sprintf("%s: %q", head, value), head+": "+value+"\n")
	default:
		m.data = m.inside(random, lines)
	}
	return m
}

// inside changes the bytes that the longest run of lines of base64 stands for.
func (m *mutant) inside(random *rand.Rand, lines []string) []byte {
	first, after := longestBase64(lines)
	body, err := base64.StdEncoding.DecodeString(strings.Join(lines[first:after], ""))
	if err != nil || len(body) == 0 { // a key and its type in one line
		words := strings.Fields(lines[0])
		for w, word := range words {
			if body, err = base64.StdEncoding.DecodeString(word); err == nil && len(body) > 8 {
				words[w] = base64.StdEncoding.EncodeToString(m.altered(random, body))
				break
			}
		}
		return []byte(strings.Join(words, " ") + "\n")
	}
	text := base64.StdEncoding.EncodeToString(m.altered(random, body))
	width := len(strings.TrimSpace(lines[first]))
	var wrapped []string
	for len(text) > width {
		wrapped = append(wrapped, text[:width]+"\n")
		text = text[width:]
	}
	wrapped = append(wrapped, text+"\n")
	return []byte(strings.Join(slices.Concat(lines[:first], wrapped, lines[after:]), ""))
}

// altered changes the content of a key.
func (m *mutant) altered(random *rand.Rand, body []byte) []byte {
	i := random.IntN(len(body))
	switch random.IntN(5) {
	case 0:
		m.change = fmt.Sprintf("content cut off at %d", i)
		return body[:i]
	case 1:
		m.change = "content longer"
		return append(body, make([]byte, 1+random.IntN(20))...)
	case 2:
		i = min(i, max(0, len(body)-4))
		n := []uint32{0, 1, 1 << 16, 1 << 31, 1<<32 - 1}[random.IntN(5)]
		m.change = fmt.Sprintf("content has %d at %d", n, i)
		if len(body) >= 4 {
			binary.BigEndian.PutUint32(body[i:], n)
		}
		return body
	case 3:
		m.change = fmt.Sprintf("content lacks byte %d", i)
		return slices.Delete(body, i, i+1)
	}
	bit := random.IntN(8)
	m.change = fmt.Sprintf("bit %d of byte %d of the content", bit, i)
	body[i] ^= 1 << bit
	return body
}

// longestBase64 finds the lines that are the body, or the private half of a
// PuTTY file if that is longer than the public one.
func longestBase64(lines []string) (first, after int) {
	for i := 0; i < len(lines); i++ {
		j := i
		for j < len(lines) && isBase64Line(lines[j]) {
			j++
		}
		if j-i > after-first {
			first, after = i, j
		}
		i = max(i, j-1)
	}
	return first, after
}

func isBase64Line(line string) bool {
	line = strings.TrimSpace(line)
	return line != "" && strings.Trim(line, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=") == ""
}

// says reports whether our refusal has these words.
func (m *mutant) says(words string) bool {
	return m.err != nil && strings.Contains(m.err.Error(), words)
}

// squeezed is a text without any white space.
func squeezed(text []byte) string { return strings.Join(strings.Fields(string(text)), "") }

// The differences that several families have.
func whiteSpace() difference {
	return difference{true, "white space does a key no harm", func(m *mutant) bool { return squeezed(m.data) == squeezed(m.whole) }}
}

func header() difference {
	return difference{true, "a header that says nothing does a key no harm", func(m *mutant) bool {
		return strings.HasSuffix(m.change, "one like it after it") || strings.HasSuffix(m.change, ": twice")
	}}
}

func unproven() difference {
	return difference{false, "the numbers of a key are held against each other", func(m *mutant) bool { return m.says("does not belong to its public half") }}
}

func behind() difference {
	return difference{false, "nothing may stand behind the end of a key", func(m *mutant) bool {
		return (m.change == "content longer" || strings.HasSuffix(m.change, ": twice")) && (m.says("cut off or wrong") || m.says("is not valid"))
	}}
}

func otherDSA() difference {
	return difference{false, "SSH knows DSA with 1024 bits only", func(m *mutant) bool { return m.says("it is a DSA key with") }}
}

func strangeEnds() difference {
	return difference{false, "OpenSSL takes what is no ASCII text at the end of a line for a blank", func(m *mutant) bool {
		blank := func(r rune) rune {
			if r <= ' ' || r > '~' {
				return -1
			}
			return r
		}
		return strings.Map(blank, string(m.data)) == strings.Map(blank, string(m.whole))
	}}
}

// families lists what is compared.
func families() []family {
	return []family{
		{
			name: "ppk", tool: "puttygen", judge: judgePuttygen,
			seeds: []string{
				"ppk2-ed25519.ppk", "ppk2-rsa1024.ppk", "ppk2-dsa1024.ppk", "ppk2-ecdsa256-enc.ppk", "ppk2-rsa1024-enc.ppk", "ppk3-ed25519.ppk", "ppk3-rsa1024.ppk",
				"ppk3-ecdsa521.ppk", "ppk3-argon2id-8-1-1.ppk", "ppk3-argon2d-8-1-1.ppk", "ppk1-dsa1024.ppk", "ppk1-dsa1024-enc.ppk", "ppk3-comment3.ppk",
				"ppk3-cert-ed25519-ed25519-valid.ppk",
			},
			reasons: []difference{
				whiteSpace(), behind(), unproven(),
				{false, "PuTTY reads a line up to a zero byte, and so reads what is not there", func(m *mutant) bool { return m.says("zero byte") }},
			},
		},
		{
			name: "openssh", tool: "ssh-keygen", judge: judgeKeygen,
			seeds: []string{
				"openssh-ed25519", "openssh-rsa1024", "openssh-dsa1024", "openssh-ecdsa256", "openssh-ecdsa384", "openssh-ecdsa521", "openssh-rounds2",
			},
			reasons: []difference{whiteSpace(), header(), unproven()},
		},
		{
			name: "pem", tool: "ssh-keygen", judge: judgeKeygen,
			seeds: []string{
				"pem-rsa1024", "pem-dsa1024", "pem-ecdsa256", "pem-ecdsa521", "pem-ecdsa256-params", "pem-ecdsa256-nopublic", "pem-rsa1024-aes128", "pem-dsa1024-des3", "pem-ecdsa256-aes256",
			},
			reasons: []difference{
				whiteSpace(), header(), unproven(), behind(), otherDSA(), strangeEnds(),
				{true, "the curve is named in the key, and a damaged block before it does no harm", func(m *mutant) bool { return m.seed == "pem-ecdsa256-params" }},
				{false, "OpenSSL does not look at all of RFC 5915's structure", func(m *mutant) bool {
					return strings.HasPrefix(m.seed, "pem-ecdsa") && m.says("its numbers are cut off or wrong")
				}},
				{false, "OpenSSL does not look behind the initial value", func(m *mutant) bool { return m.says("the initial value in its header") }},
			},
		},
		{
			name: "pkcs8", tool: "ssh-keygen", judge: judgeKeygen,
			seeds:   []string{"pkcs8-rsa1024", "pkcs8-dsa1024", "pkcs8-ecdsa256", "pkcs8-ecdsa384", "pkcs8-iter1"}, // Ed25519 it does not read
			reasons: []difference{whiteSpace(), header(), unproven(), behind(), otherDSA(), strangeEnds()},
		},
		{
			name: "public", tool: "ssh-keygen", judge: judgePublic,
			seeds: []string{
				"public-ed25519.pub", "public-rsa1024.pub", "public-dsa1024.pub", "public-ecdsa256.pub", "public-ecdsa521.pub", "rfc4716-ed25519", "rfc4716-rsa1024",
				"rfc4716-dsa1024-puttygen", "cert-ed25519-ed25519-valid.pub", "cert-rsa-rsa2048-valid.pub",
			},
			reasons: []difference{
				whiteSpace(),
				{false, "a carriage return ends a line, also within a key", func(m *mutant) bool { return bytes.Contains(m.data, []byte("\r")) }},
				{false, "ssh-keygen takes nearly anything for the first and last lines of RFC 4716", func(m *mutant) bool {
					lines := strings.Split(strings.TrimSpace(string(m.data)), "\n")
					const begin, end = "---- BEGIN SSH2 PUBLIC KEY ----", "---- END SSH2 PUBLIC KEY ----"
					return strings.HasPrefix(m.seed, "rfc4716-") && (lines[0] != begin || lines[len(lines)-1] != end)
				}},
			},
		},
	}
}
