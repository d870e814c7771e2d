package winsvc

func platforms() []kardianosPlatform {
	return []kardianosPlatform{{
		platform: platform{
			id: "freebsd", unit: unitFreeBSD, path: "/usr/local/etc/rc.d/NAME",
			// As "one…", they work too where rc.conf says not to start it.
			startCommand:  []string{"service", "NAME", "onestart"},
			stopCommand:   []string{"service", "NAME", "onestop"},
			statusCommand: []string{"service", "NAME", "onestatus"},
			state:         runsAtZero,
		},
		option: "SysvScript", after: nothing,
	}}
}
