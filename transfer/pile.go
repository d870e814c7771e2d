package transfer

import (
	"bufio"
	"encoding/binary"
	"io"
	"iter"
	"os"

	"linehaul/fault"
)

const (
	// maxPiled is how many items a Pile holds in memory.
	maxPiled = 1000
	// maxText bounds a text that is read back, in bytes: a path is far shorter.
	maxText = 1 << 20
)

// A Pile keeps items that must wait, in their order: the first thousand in
// memory, and all of them on disk if there are more. It is used by one
// goroutine at a time.
type Pile struct {
	temp string // folder for its file; empty: the system's
	n    int
	mem  []Item
	file *os.File
	w    *bufio.Writer
	size int64 // bytes that were written
}

// NewPile makes an empty one. Its file, if it needs one, lies in that folder,
// or in the system's for such. The caller closes it.
func NewPile(temp string) *Pile { return &Pile{temp: temp} }

// Len is how many items there are.
func (p *Pile) Len() int { return p.n }

// Add puts an item behind the others.
func (p *Pile) Add(item Item) error {
	if p.file == nil && len(p.mem) < maxPiled {
		p.mem = append(p.mem, item)
		p.n++
		return nil
	}
	if p.file == nil {
		if err := p.spill(); err != nil {
			return piled(err)
		}
	}
	if err := p.write(item); err != nil {
		return piled(err)
	}
	p.n++
	return nil
}

// spill moves what is in memory to disk.
func (p *Pile) spill() error {
	f, err := os.CreateTemp(p.temp, spoolPrefix)
	if err != nil {
		return err
	}
	os.Remove(f.Name()) //nolint:errcheck // Windows cannot, and Close removes it then
	p.file, p.w = f, bufio.NewWriterSize(f, runBuffer)
	for _, item := range p.mem {
		if err := p.write(item); err != nil {
			return err
		}
	}
	p.mem = nil
	return nil
}

// write writes an item: its texts, each with its length in front, one byte for
// Closing and Standing, and the entry as a sorter has it.
func (p *Pile) write(item Item) error {
	b := p.w.AvailableBuffer()
	for _, s := range []string{item.Source, item.Path, item.Rel, item.Link, item.Target} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	mark := byte(item.Standing) << 1
	if item.Closing {
		mark |= 1
	}
	b = appendEntry(append(b, mark), item.Entry)
	p.size += int64(len(b))
	_, err := p.w.Write(b)
	return err
}

// Items yields all items. It may be called again, but nothing is added while
// it goes on.
func (p *Pile) Items() iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for _, item := range p.mem {
			if !yield(item, nil) {
				return
			}
		}
		if p.file == nil {
			return
		}
		if err := p.w.Flush(); err != nil {
			yield(Item{}, piled(err))
			return
		}
		r := bufio.NewReaderSize(io.NewSectionReader(p.file, 0, p.size), runBuffer)
		for {
			item, err := readItem(r)
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(Item{}, piled(err))
				return
			}
			if !yield(item, nil) {
				return
			}
		}
	}
}

// Close gives the items up.
func (p *Pile) Close() error {
	p.mem, p.n = nil, 0
	if p.file == nil {
		return nil
	}
	err := p.file.Close()
	os.Remove(p.file.Name()) //nolint:errcheck // it may be gone since it was made
	p.file = nil
	return err
}

func readItem(r *bufio.Reader) (Item, error) {
	var item Item
	for i, s := range []*string{&item.Source, &item.Path, &item.Rel, &item.Link, &item.Target} {
		n, err := binary.ReadUvarint(r)
		if err == io.EOF && i == 0 {
			return item, io.EOF
		}
		if err != nil || n > maxText {
			return item, errDamaged
		}
		text := make([]byte, n)
		if _, err := io.ReadFull(r, text); err != nil {
			return item, errDamaged
		}
		*s = string(text)
	}
	mark, err := r.ReadByte()
	if err != nil {
		return item, errDamaged
	}
	item.Closing, item.Standing = mark&1 != 0, Standing(mark>>1)
	if item.Entry, err = readEntry(r); err != nil {
		return item, errDamaged
	}
	return item, nil
}

func piled(err error) error {
	if fault.KindOf(err) == fault.LocalDisk {
		return err
	}
	return fault.New(fault.LocalDisk, "set a long list down: %w", err).
		WithHint("lists of very many files go through a temporary folder: check its space")
}
