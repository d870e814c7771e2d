package receipt_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"linehaul/receipt"
)

// addSeeds adds the lines of a golden file, whole and damaged.
func addSeeds(f *testing.F, name string) {
	b, err := os.ReadFile(name)
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSuffix(line, "\n")
		f.Add(line)
		f.Add(line[:len(line)/2])
		f.Add(line + " ")
		f.Add(strings.Replace(line, `":`, `": `, 1))
		f.Add(strings.Replace(line, "0", "1e0", 1))
		f.Add(strings.Replace(line, "sha", "SHA", 1))
	}
	f.Add("null")
	f.Add(strings.Repeat("[", 10000))
	f.Add(`{"receipt":2,"seq":1}`)
}

// FuzzDecode: what is read as a head is written as the same bytes, and a store that
// holds it is verified without a panic.
func FuzzDecode(f *testing.F) {
	addSeeds(f, "testdata/chain.jsonl")
	f.Fuzz(func(t *testing.T, text string) {
		m := &memory{heads: []receipt.Stored{{Seq: 1, Text: text}, {Seq: 2, Text: text}}, named: []receipt.Named{{Run: "r"}}}
		m.named[0].Seq, m.named[0].Hash = 1, receipt.HashOf(text)
		if _, err := receipt.Verify(context.Background(), m, m, receipt.Options{}); err != nil {
			t.Fatal(err)
		}
		h, err := receipt.Decode(text)
		if err != nil {
			return
		}
		again, err := receipt.Seal(h, receipt.Place{Seq: h.Seq - 1, Hash: h.Prev})
		if err != nil || again.Text != text {
			t.Fatalf("%s\nbecame\n%s\n%v", text, again.Text, err)
		}
	})
}

// FuzzDecodeFile: what is read as a line is written as the same bytes.
func FuzzDecodeFile(f *testing.F) {
	addSeeds(f, "testdata/files.jsonl")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := receipt.DecodeFile(text)
		if err != nil {
			return
		}
		again, err := new(receipt.List).Add(file)
		if err != nil || again != text {
			t.Fatalf("%s\nbecame\n%s\n%v", text, again, err)
		}
	})
}
