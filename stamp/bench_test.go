package stamp_test

import "testing"

func BenchmarkMatcher(b *testing.B) {
	template, k := parse(b, "/backup/{date}/{stem}-{date:%H%M}{ext}"), known(b, "Europe/Berlin")
	for b.Loop() {
		if _, err := template.Matcher(k); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	m := matcher(b, "/backup/{date}/{stem}-{date:%H%M}{ext}", "Europe/Berlin")
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := m.Match("20261123/customer-database.sql-0230.gz"); !ok {
			b.Fatal("not read")
		}
	}
}
