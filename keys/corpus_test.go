package keys_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"linehaul/fault"
	"linehaul/keys"
)

// A corpusRow is a line of testdata/corpus/manifest.tsv, which scripts/corpus
// makes.
type corpusRow struct {
	file       string
	format     keys.Format // empty if no program of ours writes it
	keyType    string
	bits       int
	passphrase string
	print      string          // the fingerprint; empty if it is refused
	kinds      []keys.LoadKind // of the refusal
	tools      string          // which load it, or "-"
	data       []byte
}

func corpus(t testing.TB) []corpusRow {
	t.Helper()
	dir := filepath.Join("testdata", "corpus")
	manifest, err := os.ReadFile(filepath.Join(dir, "manifest.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	dash := func(s string) string {
		if s == "-" {
			return ""
		}
		return s
	}
	var rows []corpusRow
	for line := range strings.Lines(string(manifest)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 7 {
			t.Fatalf("manifest: %d columns in %q", len(f), line)
		}
		row := corpusRow{file: f[0], format: keys.Format(dash(f[1])), keyType: dash(f[2]), passphrase: dash(f[4]), tools: f[6]}
		row.bits, _ = strconv.Atoi(f[3])
		if kinds, refused := strings.CutPrefix(f[5], "!"); refused {
			for kind := range strings.SplitSeq(kinds, "|") {
				row.kinds = append(row.kinds, keys.LoadKind(kind))
			}
		} else {
			row.print = f[5]
		}
		if row.data, err = os.ReadFile(filepath.Join(dir, row.file)); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	return rows
}

func (r *corpusRow) isPublic() bool {
	return slices.Contains([]keys.Format{keys.OpenSSHPublic, keys.RFC4716, keys.Certificate}, r.format)
}

// leastFiles is how many files the corpus must have for the tests of it to
// mean anything.
const leastFiles = 400

// TestCorpus loads each file of the corpus, or sees it refused for the right
// reason, quickly, in little memory, and as other programs do.
func TestCorpus(t *testing.T) {
	files, count := map[string]bool{}, map[string]int{}
	for _, row := range corpus(t) {
		files[row.file] = true
		t.Run(row.file, func(t *testing.T) {
			before, start := allocated(), time.Now()
			key, err := keys.ParsePrivate(row.data, []byte(row.passphrase))
			took, used := time.Since(start), allocated()-before
			if took > 5*time.Second || used > 64<<20 { // a second, on a machine that has nothing else to do
				t.Errorf("took %v and %d MiB", took, used>>20)
			}
			if !row.isPublic() && row.holdAgainstTools(t, err) {
				count["judged otherwise by other programs, with a reason"]++
			}
			switch {
			case row.isPublic() && row.print != "":
				refusedAs(t, err, keys.NotPrivate)
				count["public"]++
			case row.print == "":
				refusedAs(t, err, row.kinds...)
				count["refused: "+string(kindOf(err))]++
			case err != nil:
				t.Fatalf("%v (%s)", err, fault.HintOf(err))
			default:
				row.check(t, key)
				count["loaded: "+string(row.format)]++
			}
			row.inspect(t)
		})
	}
	for _, what := range slices.Sorted(maps.Keys(count)) {
		t.Logf("%4d %s", count[what], what)
	}
	t.Logf("%4d files", len(files))
	if len(files) < leastFiles {
		t.Errorf("the corpus has %d files only: `make corpus` makes it anew", len(files))
	}
}

// check holds a loaded key against the row.
func (r *corpusRow) check(t *testing.T, key *keys.PrivateKey) {
	t.Helper()
	public, err := key.Public()
	if err != nil {
		t.Fatal(err)
	}
	plainType, certified := strings.CutSuffix(r.keyType, "-cert-v01@openssh.com")
	if got := ssh.FingerprintSHA256(public); got != r.print {
		t.Errorf("fingerprint %s, want %s", got, r.print)
	}
	if public.Type() != plainType || key.Format != r.format || key.Encrypted != (r.passphrase != "") || (key.Certificate != nil) != certified {
		t.Errorf("got %s %s, encrypted %v, certificate %v", public.Type(), key.Format, key.Encrypted, key.Certificate != nil)
	}
	if (key.Cipher != "") != key.Encrypted || (key.KDF != "") != key.Encrypted {
		t.Errorf("encrypted %v with cipher %q, KDF %q", key.Encrypted, key.Cipher, key.KDF)
	}
}

// inspect holds what Inspect says against the row: whatever is said must be
// right, and where the format tells, it must be said.
func (r *corpusRow) inspect(t *testing.T) {
	t.Helper()
	info, err := keys.Inspect(r.data)
	if err != nil {
		if r.print != "" {
			t.Errorf("inspect: %v", err)
		}
		sorted(t, err)
	}
	if info == nil {
		if err == nil {
			t.Error("inspect says nothing")
		}
		return
	}
	if r.print == "" {
		return
	}
	tells := !info.Encrypted || r.format == keys.OpenSSH || strings.HasPrefix(string(r.format), "ppk")
	if tells && (info.Fingerprint != r.print || info.Bits != r.bits || info.Public == nil || len(info.MD5) != 47) {
		t.Errorf("inspect: fingerprint %q, %d bits, want %s, %d", info.Fingerprint, info.Bits, r.print, r.bits)
	}
	want := r.keyType
	if r.format != keys.Certificate {
		want = strings.TrimSuffix(want, "-cert-v01@openssh.com") // of the key in the file, beside the certificate
	}
	if info.Type != want && (tells || info.Type != "") || info.Format != r.format {
		t.Errorf("inspect: %s %s, want %s %s", info.Format, info.Type, r.format, want)
	}
	if (info.KDF != "") != info.Encrypted || (info.Cipher != "") != info.Encrypted {
		t.Errorf("inspect: encrypted %v with cipher %q, KDF %q", info.Encrypted, info.Cipher, info.KDF)
	}
	if (info.Certificate != nil) != strings.HasSuffix(r.keyType, "-cert-v01@openssh.com") {
		t.Errorf("inspect: certificate %v", info.Certificate)
	}
}

// holdAgainstTools compares our verdict with those of puttygen, ssh-keygen and
// openssl: what one of them loads we load, what all refuse we refuse, but for
// some with reasons.
func (r *corpusRow) holdAgainstTools(t *testing.T, err error) (differs bool) {
	t.Helper()
	ours, theirs := err == nil, r.tools != "-"
	switch {
	case ours == theirs:
		return false
	case ours && moreThanTools(r) == "":
		t.Error("it is loaded here, and by no other program")
	case theirs && lessThanTools(r, kindOf(err)) == "":
		t.Errorf("it is refused here (%v), and loaded by %s", err, r.tools)
	}
	return true
}

// moreThanTools says why we load what no other program does.
func moreThanTools(row *corpusRow) string {
	_, shape, _ := strings.Cut(strings.TrimSuffix(row.file, ".ppk"), "-")
	if slices.Contains([]string{"crlf", "cr", "mixed", "nonl", "blank", "trailing", "bom", "text"}, shape) {
		return "line ends, blanks, a byte order mark and text around do a key no harm"
	}
	return ""
}

// lessThanTools says why we refuse what other programs load.
func lessThanTools(row *corpusRow, kind keys.LoadKind) string {
	name := strings.TrimSuffix(row.file, ".ppk")
	rest := name[strings.Index(name, "-")+1:]
	switch {
	case kind == keys.Damaged && strings.HasPrefix(name, "bad-"):
		return "others do not hold the halves of a key against each other, and pass over what stands behind the end"
	case kind != keys.Unsupported:
	case slices.Contains([]string{"ed448", "ed448-enc", "dsa2048", "dsa2048-enc", "x25519", "rsapss", "rsa768", "secp256k1", "secp224r1", "brainpoolP256r1"}, rest):
		return "a type or size that SSH does not use, or no server takes"
	case slices.Contains([]string{"camellia128", "aria128", "seed"}, rest), strings.HasPrefix(rest, "PBE-"):
		return "a cipher that hardly a key is encrypted with"
	case slices.Contains([]string{"rsa3primes", "explicit"}, rest):
		return "a form that hardly a key has"
	case slices.Contains([]string{"der", "sec1-der", "pkcs12"}, rest):
		return "no text: OpenSSH does not read them either"
	}
	return ""
}

// refusedAs fails the test unless err is a refusal of one of these kinds.
func refusedAs(t *testing.T, err error, kinds ...keys.LoadKind) {
	t.Helper()
	if err == nil {
		t.Fatalf("loaded, want a refusal as %q", kinds)
	}
	sorted(t, err)
	if !slices.Contains(kinds, kindOf(err)) {
		t.Errorf("refused as %q (%v), want %q", kindOf(err), err, kinds)
	}
}

// sorted fails the test unless err is as the package promises.
func sorted(t *testing.T, err error) {
	t.Helper()
	if !fault.Is(err, fault.Key) || fault.Transient(err) || kindOf(err) == "" {
		t.Errorf("fault kind %v, load kind %q: %v", fault.KindOf(err), kindOf(err), err)
	}
	if hint := fault.HintOf(err); hint == fault.Key.Hint() || strings.ContainsAny(err.Error()+hint, "\r\n\x00") {
		t.Errorf("message %q, hint %q", err, hint)
	}
}

func kindOf(err error) keys.LoadKind {
	if e, ok := errors.AsType[*keys.LoadError](err); ok {
		return e.Kind
	}
	return ""
}

// allocated returns how many bytes were ever allocated.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}
