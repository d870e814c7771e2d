package page

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"time"
	"unicode"

	"linehaul/preflight"
	"linehaul/preflight/ping"
	"linehaul/preflight/plot"
)

// A tidying makes copies in which texts are clean and short, numbers finite,
// and lists bounded, so that nothing after it has to ask.
type tidying struct {
	cut []string // what was left out, for the page to say
}

// report returns a copy of r.
func (t *tidying) report(r preflight.Report) preflight.Report {
	t.walk(reflect.ValueOf(&r).Elem(), "")
	return r
}

// options returns a copy of o.
func (t *tidying) options(o Options) Options {
	if o.Before != nil {
		before := t.report(*o.Before)
		o.Before = &before
	}
	nights := o.History
	if len(nights) > maxNights {
		t.cut = append(t.cut, fmt.Sprintf("the history's first %s of %s runs", count(len(nights)-maxNights), count(len(nights))))
	}
	o.History = plot.Sorted(nights, maxNights)
	t.walk(reflect.ValueOf(&o.History).Elem(), "History")
	return o
}

// walk tidies what v holds, in place: lists and what pointers lead to are
// copied before they are changed.
func (t *tidying) walk(v reflect.Value, name string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(clean(v.String()))
	case reflect.Float64:
		v.SetFloat(plot.Finite(v.Float()))
	case reflect.Pointer:
		if v.IsNil() {
			return
		}
		p := reflect.New(v.Type().Elem())
		p.Elem().Set(v.Elem())
		v.Set(p)
		t.walk(p.Elem(), name)
	case reflect.Slice:
		t.list(v, name)
	case reflect.Struct:
		switch x := v.Interface().(type) {
		case time.Time:
			return
		case netip.Addr: // whose zone may be anything
			if x.Zone() != clean(x.Zone()) {
				v.Set(reflect.ValueOf(x.WithZone("")))
			}
			return
		case netip.AddrPort:
			if x.Addr().Zone() != clean(x.Addr().Zone()) {
				v.Set(reflect.ValueOf(netip.AddrPortFrom(x.Addr().WithZone(""), x.Port())))
			}
			return
		}
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() { // the others are not shown
				t.walk(v.Field(i), f.Name)
			}
		}
	default:
	}
}

func (t *tidying) list(v reflect.Value, name string) {
	most := maxItems
	switch v.Interface().(type) {
	case []ping.Sample, []preflight.Rate:
		most = maxSamples
	case []float64:
		most = maxPoints
	case []plot.Night:
		most = maxNights
	}
	n := v.Len()
	if n > most {
		t.cut = append(t.cut, fmt.Sprintf("%s of %s %s", count(n-most), count(n), strings.ToLower(name)))
		n = most
	}
	kept := []reflect.Value{}
	for i := range n {
		if e := v.Index(i); e.Kind() != reflect.Pointer || !e.IsNil() {
			kept = append(kept, e)
		}
	}
	list := reflect.MakeSlice(v.Type(), len(kept), len(kept))
	for i, e := range kept {
		list.Index(i).Set(e)
		t.walk(list.Index(i), name)
	}
	v.Set(list)
}

// clean returns a text without what cannot be seen or changes the order of
// letters, in one line, and not longer than a page can bear.
func clean(s string) string {
	var b strings.Builder
	letters := 0
	for _, r := range strings.ToValidUTF8(s, "\ufffd") {
		if letters++; letters > maxText {
			b.WriteString("…")
			break
		}
		switch {
		case r == '\n' || r == '\r' || r == '\t':
			r = ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r) && r != '\u200d' && r != '\u00ad', r == '\u2028', r == '\u2029':
			r = '\ufffd'
		}
		b.WriteRune(r)
	}
	return b.String()
}

func count(n int) string { return plot.Grouped(float64(n), 0) }
