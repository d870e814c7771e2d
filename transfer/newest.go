package transfer

import (
	"cmp"
	"container/heap"
	"slices"
)

// newest keeps the newest items of one source, and no more of them than it is
// asked for.
type newest struct {
	most int
	came int
	kept []aged // the oldest first, as a heap
}

type aged struct {
	item Item
	came int
}

// add takes one item, and returns the one that is dropped for it.
func (n *newest) add(item Item) (dropped Item, any bool) {
	n.came++
	heap.Push(n, aged{item, n.came})
	if len(n.kept) <= n.most {
		return Item{}, false
	}
	return heap.Pop(n).(aged).item, true
}

// take returns what was kept, in the order in which it came.
func (n *newest) take() []Item {
	slices.SortFunc(n.kept, func(a, b aged) int { return cmp.Compare(a.came, b.came) })
	items := make([]Item, len(n.kept))
	for i, a := range n.kept {
		items[i] = a.item
	}
	return items
}

func (n *newest) Len() int { return len(n.kept) }

// Less: of two of the same second, the one that came later goes first.
func (n *newest) Less(i, j int) bool {
	a, b := n.kept[i], n.kept[j]
	return cmp.Or(a.item.Entry.MTime.Compare(b.item.Entry.MTime), cmp.Compare(b.came, a.came)) < 0
}

func (n *newest) Swap(i, j int) { n.kept[i], n.kept[j] = n.kept[j], n.kept[i] }
func (n *newest) Push(x any)    { n.kept = append(n.kept, x.(aged)) }
func (n *newest) Pop() any {
	last := n.kept[len(n.kept)-1]
	n.kept = n.kept[:len(n.kept)-1]
	return last
}
