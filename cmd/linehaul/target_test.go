package main

import "testing"

func TestTargetString(t *testing.T) {
	for _, tt := range []struct {
		t    target
		want string
	}{
		{target{address: "hk1", path: "a b"}, "hk1:a b"},
		{target{user: "u", address: "192.0.2.1", path: "/x"}, "u@192.0.2.1:/x"},
		{target{user: "u", address: "192.0.2.1", port: 2222, path: "/x"}, "u@192.0.2.1:2222:/x"},
		{target{address: "::1", path: "x"}, "[::1]:x"},
		{target{user: "u", address: "2001:db8::1", path: "x"}, "u@[2001:db8::1]:x"},
		{target{user: "u", address: "::1", port: 22, path: "x"}, "u@[::1]:22:x"},
	} {
		if got := tt.t.String(); got != tt.want {
			t.Errorf("%+v is written %q, want %q", tt.t, got, tt.want)
		}
		if tt.t.port != 0 {
			continue
		}
		if back, remote, err := parseTarget(tt.want); err != nil || !remote || back != tt.t {
			t.Errorf("%q is read as %+v (on a server: %v), %v; want %+v", tt.want, back, remote, err, tt.t)
		}
	}
}
