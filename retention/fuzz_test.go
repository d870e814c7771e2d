package retention_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"linehaul/retention"
)

// FuzzApply reads a policy and copies from bytes: whatever they are, it holds
// to the model, keeps the newest good copy, and deciding again changes
// nothing.
func FuzzApply(f *testing.F) {
	f.Add([]byte{3, 7, 4, 12, 2, 30}, []byte("\x00\x00\x00\x00\x01\x51\x80\x00\x02\xa3\x00\x01"), uint8(0))
	f.Add([]byte{1, 0, 0, 0, 0, 0}, []byte("\x05\x00\x00\x01\x05\x00\x00\x00"), uint8(1))
	f.Add([]byte{0, 0, 0, 0, 0, 200}, []byte("\x05\x26\x5c\x00\x05\x26\x6a\x10\x05\x26\x78\x20\x05\x26\x78\x20"), uint8(2))
	f.Add([]byte{0, 2, 0, 0, 0, 0}, []byte("\x00\x29\x5c\x04\x00\x29\x6a\x11\x00\xff\x78\x22\x00\x00\x00\x03"), uint8(3))
	f.Add([]byte{}, []byte{}, uint8(4))
	c := newCalendar()
	f.Fuzz(func(t *testing.T, rules, data []byte, zoneIndex uint8) {
		z := zone(t, zones()[int(zoneIndex)%len(zones())])
		n := func(i int) int {
			if i < len(rules) {
				return int(int8(rules[i]))
			}
			return 0
		}
		p := retention.Policy{Last: n(0), Daily: n(1), Weekly: n(2), Monthly: n(3), Yearly: n(4), Within: time.Duration(n(5)) * 7 * time.Hour}
		base := time.Date(2025, 1, 1, 0, 0, 0, 0, z)
		now := base.Add(900 * 24 * time.Hour)
		var all []retention.Copy
		for i := 0; i+4 <= len(data) && len(all) < 64; i += 4 {
			word := binary.BigEndian.Uint32(data[i:])
			c := retention.Copy{Name: fmt.Sprintf("%03d", i), At: base.Add(time.Duration(word>>2) * 4 * time.Second), Bad: word&1 != 0, New: word&2 != 0}
			if word == 3 {
				c.At = time.Time{}
			}
			all = append(all, c)
		}
		ds := retention.Apply(p, all, now, z)
		m := newModel(c, p, all, now, z)
		for i, d := range ds {
			if want := m.kept(all[i]); d.Keep != want {
				t.Errorf("%+v: %+v is kept: %v (%s)", p, d.Copy, d.Keep, d.Why())
			}
			if !d.Keep && d.Why() != "no rule keeps it" {
				t.Errorf("removed because of %q", d.Why())
			}
		}
		left, _ := names(ds)
		if again, _ := names(retention.Apply(p, left, now, z)); !slices.Equal(again, left) {
			t.Errorf("%+v: applied again, %v is left of %v", p, again, left)
		}
		if len(all) > 0 && len(left) == 0 {
			t.Error("nothing is left")
		}
	})
}
