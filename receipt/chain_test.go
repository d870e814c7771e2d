package receipt_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"linehaul/receipt"
)

// A spoiling changes a chain in one place, and says which receipts are to be named.
// It returns false if the chain is too short for it.
type spoiling struct {
	name string
	do   func(t *testing.T, r *rand.Rand, m *memory) (from, to int64, ok bool)
	// blind: without what runs say, nothing needs to be found in the last receipt,
	// or anywhere.
	blindAtEnd, blind bool
	kinds             []receipt.Kind
}

func seqsOf(m *memory) []int64 {
	var all []int64
	for _, h := range m.heads {
		all = append(all, h.Seq)
	}
	return all
}

// insert puts a text at a place, with the list of a receipt if it is not 0, and
// numbers all anew.
func insert(m *memory, at int, text string, list int64) {
	seqs := slices.Insert(seqsOf(m), at, list)
	m.heads = slices.Insert(m.heads, at, receipt.Stored{Text: text})
	m.renumber(seqs)
}

func remove(m *memory, at int, renumber bool) receipt.Stored {
	seqs := slices.Delete(seqsOf(m), at, at+1)
	gone := m.heads[at]
	m.heads = slices.Delete(m.heads, at, at+1)
	if renumber {
		m.renumber(seqs)
	}
	return gone
}

// edited is a head that reads well and says something else.
func edited(t *testing.T, r *rand.Rand, text string) string {
	h, err := receipt.Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	switch r.IntN(4) {
	case 0:
		h.Bytes ^= 1
	case 1:
		h.State += "x"
	case 2:
		h.Files.SHA256[r.IntN(32)] ^= 1
	case 3:
		h.Run += "0"
	}
	b := &strings.Builder{}
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	if err := e.Encode(h); err != nil {
		t.Fatal(err)
	}
	again := strings.TrimSuffix(b.String(), "\n")
	if _, err := receipt.Decode(again); err != nil {
		t.Fatalf("the edit cannot be read: %v", err)
	}
	return again
}

func spoilings() []spoiling {
	changed := []receipt.Kind{receipt.ReceiptChanged, receipt.ReceiptUnreadable, receipt.CheckpointChanged, receipt.ListChanged}
	return []spoiling{
		{name: "flip a bit", blindAtEnd: true, kinds: changed, do: func(_ *testing.T, r *rand.Rand, m *memory) (int64, int64, bool) {
			k := r.IntN(len(m.heads))
			b := []byte(m.heads[k].Text)
			b[r.IntN(len(b))] ^= 1 << r.IntN(8)
			m.heads[k].Text = string(b)
			return m.heads[k].Seq, m.heads[k].Seq, true
		}},
		{name: "edit a field", blindAtEnd: true, kinds: changed, do: func(t *testing.T, r *rand.Rand, m *memory) (int64, int64, bool) {
			k := r.IntN(len(m.heads))
			m.heads[k].Text = edited(t, r, m.heads[k].Text)
			return m.heads[k].Seq, m.heads[k].Seq, true
		}},
		{name: "say that it follows another", blindAtEnd: true, kinds: changed, do: func(_ *testing.T, r *rand.Rand, m *memory) (int64, int64, bool) {
			k := &m.heads[r.IntN(len(m.heads))]
			if k.Seq == 1 {
				return 0, 0, false
			}
			i := strings.Index(k.Text, `"prev":"`) + len(`"prev":"`)
			k.Text = k.Text[:i] + receipt.HashOf(k.Text).String() + k.Text[i+64:]
			return k.Seq, k.Seq, true
		}},
		{name: "say that it is another number", blindAtEnd: true, kinds: changed, do: func(_ *testing.T, r *rand.Rand, m *memory) (int64, int64, bool) {
			k := &m.heads[r.IntN(len(m.heads))]
			other := 1 + r.Int64N(m.end().Seq+30)
			if other == k.Seq {
				return 0, 0, false
			}
			k.Text = strings.Replace(k.Text, fmt.Sprintf(`"seq":%d,`, k.Seq), fmt.Sprintf(`"seq":%d,`, other), 1)
			return k.Seq, k.Seq, true
		}},
		{name: "say that it is another number and follows another", blindAtEnd: true, kinds: changed, do: func(_ *testing.T, r *rand.Rand, m *memory) (int64, int64, bool) {
			k := &m.heads[r.IntN(len(m.heads))]
			i := strings.Index(k.Text, `"prev":"`) + len(`"prev":"`)
			k.Text = k.Text[:i] + receipt.HashOf(k.Text).String() + k.Text[i+64:]
			k.Text = strings.Replace(k.Text, fmt.Sprintf(`"seq":%d,`, k.Seq), fmt.Sprintf(`"seq":%d,`, k.Seq+1+r.Int64N(30)), 1)
			return k.Seq, k.Seq, true
		}},
		{name: "cut a receipt off", blindAtEnd: true, kinds: changed, do: func(_ *testing.T, r *rand.Rand, m *memory) (int64, int64, bool) {
			k := r.IntN(len(m.heads))
			m.heads[k].Text = m.heads[k].Text[:r.IntN(len(m.heads[k].Text))]
			return m.heads[k].Seq, m.heads[k].Seq, true
		}},
		{name: "drop", blindAtEnd: true, kinds: []receipt.Kind{receipt.ReceiptDropped}, do: func(_ *testing.T, r *rand.Rand, m *memory) (int64, int64, bool) {
			k := r.IntN(len(m.heads))
			gone := remove(m, k, false)
			return gone.Seq, gone.Seq, true
		}},
		// The last but one, if the last is stored under its number then and no run
		// is asked, may as well have been changed.
		{name: "drop and number anew", blindAtEnd: true, kinds: []receipt.Kind{receipt.ReceiptDropped, receipt.ReceiptChanged}, do: func(_ *testing.T, r *rand.Rand, m *memory) (int64, int64, bool) {
			k := r.IntN(len(m.heads))
			gone := remove(m, k, true)
			return gone.Seq, gone.Seq, true
		}},
		{name: "drop the newest", blind: true, kinds: []receipt.Kind{receipt.ReceiptDropped}, do: func(_ *testing.T, r *rand.Rand, m *memory) (int64, int64, bool) {
			k := r.IntN(len(m.heads))
			from, to := m.heads[k].Seq, m.end().Seq
			m.heads = m.heads[:k]
			return from, to, true
		}},
		{name: "drop some", kinds: []receipt.Kind{receipt.ReceiptDropped}, do: func(_ *testing.T, r *rand.Rand, m *memory) (int64, int64, bool) {
			if len(m.heads) < 4 {
				return 0, 0, false
			}
			k := r.IntN(len(m.heads) - 3)
			n := 1 + r.IntN(len(m.heads)-2-k)
			from, to := m.heads[k].Seq, m.heads[k+n-1].Seq
			m.heads = slices.Delete(m.heads, k, k+n)
			return from, to, true
		}},
		{name: "put one in twice", kinds: []receipt.Kind{receipt.ReceiptAdded}, do: func(_ *testing.T, r *rand.Rand, m *memory) (int64, int64, bool) {
			k := m.heads[r.IntN(len(m.heads))]
			insert(m, r.IntN(len(m.heads)+1), k.Text, k.Seq)
			return k.Seq, k.Seq, true
		}},
		{name: "put two in each other's place", kinds: []receipt.Kind{receipt.ReceiptOrder}, do: func(_ *testing.T, r *rand.Rand, m *memory) (int64, int64, bool) {
			if len(m.heads) < 2 {
				return 0, 0, false
			}
			k := r.IntN(len(m.heads) - 1)
			a, b := &m.heads[k], &m.heads[k+1]
			a.Text, b.Text = b.Text, a.Text
			m.lists[a.Seq], m.lists[b.Seq] = m.lists[b.Seq], m.lists[a.Seq]
			return a.Seq, b.Seq, true
		}},
		{name: "move one", kinds: []receipt.Kind{receipt.ReceiptOrder}, do: func(_ *testing.T, r *rand.Rand, m *memory) (int64, int64, bool) {
			if len(m.heads) < 4 {
				return 0, 0, false
			}
			from := r.IntN(len(m.heads))
			to := r.IntN(len(m.heads))
			if from-to < 3 && to-from < 3 {
				return 0, 0, false // two may be meant then
			}
			seqs := seqsOf(m)
			moved, at := m.heads[from], seqs[from]
			m.heads, seqs = slices.Delete(m.heads, from, from+1), slices.Delete(seqs, from, from+1)
			m.heads, seqs = slices.Insert(m.heads, to, moved), slices.Insert(seqs, to, at)
			m.renumber(seqs)
			return at, at, true
		}},
		{name: "put one of our own in", blindAtEnd: true, kinds: []receipt.Kind{receipt.ReceiptAdded}, do: func(t *testing.T, r *rand.Rand, m *memory) (int64, int64, bool) {
			k := r.IntN(len(m.heads))
			after := receipt.Place{Seq: m.heads[k].Seq, Hash: receipt.HashOf(m.heads[k].Text)}
			s, err := receipt.Seal(receipt.Head{Run: "forged", State: "ok", Files: new(receipt.List).Files()}, after)
			if err != nil {
				t.Fatal(err)
			}
			insert(m, k+1+r.IntN(2)*min(1, len(m.heads)-k-1), s.Text, 0)
			return s.Seq, s.Seq, true
		}},
		{name: "put in what is none", kinds: []receipt.Kind{receipt.ReceiptUnreadable}, do: func(_ *testing.T, r *rand.Rand, m *memory) (int64, int64, bool) {
			k := r.IntN(len(m.heads) + 1)
			insert(m, k, []string{"", "{}", "null", `{"receipt":1}`, strings.Repeat("[", 20000)}[r.IntN(5)], 0)
			return m.heads[k].Seq, m.heads[k].Seq, true
		}},
		{name: "make all anew from there", blind: true, kinds: []receipt.Kind{receipt.ReceiptChanged, receipt.ListChanged}, do: func(t *testing.T, r *rand.Rand, m *memory) (int64, int64, bool) {
			k := r.IntN(len(m.heads))
			from, to := m.heads[k].Seq, m.end().Seq
			m.heads[k].Text = edited(t, r, m.heads[k].Text)
			for i := k + 1; i < len(m.heads); i++ {
				h, err := receipt.Decode(m.heads[i].Text)
				if err != nil {
					t.Fatal(err)
				}
				s, err := receipt.Seal(h, receipt.Place{Seq: m.heads[i-1].Seq, Hash: receipt.HashOf(m.heads[i-1].Text)})
				if err != nil {
					t.Fatal(err)
				}
				m.heads[i].Text = s.Text
			}
			return from, to, true
		}},
	}
}

// problems are the findings that are none of the files.
func problems(r *receipt.Report) []receipt.Finding {
	return slices.DeleteFunc(slices.Clone(r.Findings), func(f receipt.Finding) bool { return !f.Problem })
}

// TestChainModel: whatever is done to one place of a random chain, that place is
// named, no other is, and the kind is one that it may be.
func TestChainModel(t *testing.T) {
	seen := map[string]int{}
	for seed := range uint64(960) {
		r := rand.New(rand.NewPCG(seed, 7))
		n := 1 + r.IntN(9) + 4*r.IntN(3)
		if seed%50 == 0 {
			n = 60 + r.IntN(100)
		}
		whole := someChain(t, r, r.IntN(3)*r.IntN(5), n)
		all := spoilings()
		s := all[seed%uint64(len(all))]
		m := whole.clone()
		end := whole.end().Seq
		from, to, ok := s.do(t, r, m)
		if !ok {
			continue
		}
		for _, anchored := range []bool{true, false} {
			if v := verify(t, whole, anchored, receipt.Options{}); !v.OK || v.Notes != 0 || v.Receipts != int64(n) || v.End != whole.end() {
				t.Fatalf("seed %d: of a whole chain: %+v", seed, v)
			}
			v := verify(t, m, anchored, receipt.Options{})
			name := fmt.Sprintf("seed %d, %d receipts from %d, %s at %d to %d, compared with runs: %v", seed, n, whole.begin.Seq+1, s.name, from, to, anchored)
			named := map[int64]bool{}
			for _, f := range problems(v) {
				last := max(f.Seq, f.Last)
				// Without the runs, the last two may vouch for each other only.
				if !anchored && last == end && f.Last == f.Seq+1 && from == to && f.Seq <= from && from <= last {
					named[from] = true
					continue
				}
				for i := f.Seq; i <= last; i++ {
					named[i] = true
					if i < from || i > to {
						t.Errorf("%s: named wrongly: %v", name, f)
					}
				}
				if !slices.Contains(s.kinds, f.Kind) {
					t.Errorf("%s: of the wrong kind: %v", name, f)
				}
			}
			blind := !anchored && (s.blind || s.blindAtEnd && to >= end)
			switch {
			case len(named) > 0 || blind:
			default:
				t.Errorf("%s: nothing was found", name)
			}
			if anchored && s.name != "put two in each other's place" && len(named) != int(to-from+1) {
				t.Errorf("%s: not all of it is named: %v", name, slices.Sorted(maps.Keys(named)))
			}
			if t.Failed() {
				t.FailNow()
			}
		}
		seen[s.name]++
	}
	for _, s := range spoilings() {
		if seen[s.name] < 15 {
			t.Errorf("%q was tried %d times only", s.name, seen[s.name])
		}
	}
}

// TestListModel: whatever is done to the list of one receipt, that one is named,
// and whether lines are missing, added or changed.
func TestListModel(t *testing.T) {
	tried := map[receipt.Kind]int{}
	for seed := range uint64(600) {
		r := rand.New(rand.NewPCG(seed, 8))
		m := someChain(t, r, 0, 1+r.IntN(6))
		k := m.heads[r.IntN(len(m.heads))].Seq
		l := slices.Clone(m.lists[k])
		want := receipt.ListChanged
		switch op := r.IntN(5); {
		case op == 0 || len(l) == 0:
			want = receipt.ListLong
			line, err := new(receipt.List).Add(someFile(r))
			if err != nil {
				t.Fatal(err)
			}
			l = slices.Insert(l, r.IntN(len(l)+1), line)
		case op == 1:
			want = receipt.ListShort
			i := r.IntN(len(l))
			l = slices.Delete(l, i, i+1)
		case op == 2:
			i := r.IntN(len(l))
			b := []byte(l[i])
			b[r.IntN(len(b))] ^= 1 << r.IntN(8)
			l[i] = string(b)
		case op == 3:
			i, j := r.IntN(len(l)), r.IntN(len(l))
			if l[i] == l[j] {
				continue
			}
			l[i], l[j] = l[j], l[i]
		case op == 4:
			want = receipt.ListLong
			i := r.IntN(len(l))
			l = slices.Insert(l, i, l[i])
		}
		m.lists[k] = l
		got := problems(verify(t, m, r.IntN(2) == 0, receipt.Options{}))
		if len(got) != 1 || got[0].Kind != want || got[0].Seq != k || got[0].Run == "" {
			t.Fatalf("seed %d: want %s of receipt %d, got %v", seed, want, k, got)
		}
		tried[want]++
	}
	if len(tried) != 3 {
		t.Errorf("tried %v only", tried)
	}
}

// TestRunsSay: what the records of runs say is held against the chain.
func TestRunsSay(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(m *memory)
		want []string
	}{
		{"another hash", func(m *memory) { m.named[2].Hash[0] ^= 1 }, []string{"run-disagrees 3"}},
		{"another hash of the last", func(m *memory) { m.named[4].Hash[0] ^= 1 }, []string{"receipt-changed 5"}},
		{"another run", func(m *memory) { m.named[2].Run = "x" }, []string{"run-disagrees 3"}},
		{"a run without a receipt", func(m *memory) { m.unnamed = []string{"a", "b"} }, []string{"run-without-receipt a", "run-without-receipt b"}},
		{"a receipt without a run", func(m *memory) { m.named = slices.Delete(m.named, 1, 2) }, []string{"receipt-added 2"}},
		{"no run at all", func(m *memory) { m.named = nil }, []string{"receipt-added 1", "receipt-added 2", "receipt-added 3", "receipt-added 4", "receipt-added 5"}},
		{"no receipt at all", func(m *memory) { m.heads = nil }, []string{"receipt-dropped 1"}},
		{"a checkpoint that is not the last removed one", func(m *memory) {
			m.begin, m.heads = receipt.Place{Seq: 2}, m.heads[2:]
		}, []string{"checkpoint-changed 3"}},
		{"more removed than noted", func(m *memory) {
			m.begin, m.heads = receipt.Place{Seq: 1, Hash: m.named[0].Hash}, m.heads[3:]
		}, []string{"receipt-dropped 2"}},
		{"links that two runs vouch for and that do not meet", func(m *memory) {
			h, _ := receipt.Decode(m.heads[2].Text)
			s, _ := receipt.Seal(h, receipt.Place{Seq: 2, Hash: receipt.HashOf("other")})
			m.heads[2].Text, m.named[2].Hash = s.Text, s.Hash
			for i := 3; i < 5; i++ {
				h, _ := receipt.Decode(m.heads[i].Text)
				s, _ = receipt.Seal(h, s.Place)
				m.heads[i].Text, m.named[i].Hash = s.Text, s.Hash
			}
		}, []string{"chain-broken 3"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := someChain(t, rand.New(rand.NewPCG(1, 1)), 0, 5)
			tt.do(m)
			var got []string
			for _, f := range problems(verify(t, m, true, receipt.Options{})) {
				if f.Seq > 0 {
					got = append(got, fmt.Sprintf("%s %d", f.Kind, f.Seq))
				} else {
					got = append(got, fmt.Sprintf("%s %s", f.Kind, f.Run))
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestMovedAndChanged: a receipt that was moved is compared with what the one after
// it says, wherever it turns up, and its list is read all the same.
func TestMovedAndChanged(t *testing.T) {
	m := someChain(t, rand.New(rand.NewPCG(4, 1)), 0, 9)
	seqs := seqsOf(m)
	moved := m.heads[2]
	m.heads = append(slices.Delete(m.heads, 2, 3), moved)
	m.renumber(append(slices.Delete(seqs, 2, 3), 3))
	want(t, verify(t, m, false, receipt.Options{}), "receipt-order 3")
	m.lists[9] = append(m.lists[9], "{}")
	want(t, verify(t, m, false, receipt.Options{}), "receipt-order 3", "list-long 3")
	m.heads[8].Text = edited(t, rand.New(rand.NewPCG(4, 2)), m.heads[8].Text)
	want(t, verify(t, m, false, receipt.Options{}), "receipt-changed 3")
}

// TestSealedBadly: a list that has the right hash and cannot be read is named, and so
// is its line.
func TestSealedBadly(t *testing.T) {
	m := &memory{lists: map[int64][]string{1: {`{"source":"a","target":"b","bytes":0}`, "no line"}}}
	h := get(0)
	h.Files = receipt.Files{Lines: 2, SHA256: receipt.HashOf(m.lists[1][0] + "\n" + m.lists[1][1])}
	s, err := receipt.Seal(h, receipt.Place{})
	if err != nil {
		t.Fatal(err)
	}
	m.heads, m.named = []receipt.Stored{{Seq: 1, Text: s.Text}}, []receipt.Named{{Place: s.Place, Run: h.Run}}
	r := verify(t, m, true, receipt.Options{Files: true})
	want(t, r, "list-changed 1", "files-unchecked 1")
	if r.Findings[0].Line != 2 {
		t.Error(r)
	}
}

// TestNewer: what a newer version wrote is held in the chain by its hash, and is not
// read further.
func TestNewer(t *testing.T) {
	m := someChain(t, rand.New(rand.NewPCG(2, 1)), 0, 2)
	prev := m.end()
	text := fmt.Sprintf(`{"receipt":9,"seq":3,"prev":%q,"run":"r3","new":[1,{"a":null}]}`, prev.Hash)
	m.heads = append(m.heads, receipt.Stored{Seq: 3, Text: text})
	m.named = append(m.named, receipt.Named{Place: receipt.Place{Seq: 3, Hash: receipt.HashOf(text)}, Run: "r3"})
	v := verify(t, m, true, receipt.Options{})
	if !v.OK || v.ByKind[receipt.ReceiptNewer] != 1 || v.End.Seq != 3 {
		t.Errorf("%+v", v)
	}
	m.heads[2].Text = strings.Replace(text, "null", "true", 1)
	if v := verify(t, m, true, receipt.Options{}); v.ByKind[receipt.ReceiptChanged] != 1 {
		t.Errorf("%+v", v)
	}
}
