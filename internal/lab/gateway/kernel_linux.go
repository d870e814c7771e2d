package gateway

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"linehaul/internal/lab"
)

// A gateway whose ESP is the Linux kernel's, where this machine's kernel may
// have none: strongSwan runs in a Linux in user mode (UML), which takes the
// gateway's place at its two lines and has this machine's files as its own. A
// third line is for swanctl.
const (
	kernelHost = "10.99.0.2"
	kernelVici = "tcp://" + kernelHost + ":4502"
)

// guestInit is the first program of the guest. Nothing passes it in clear from
// the outside: what is not from a tunnel is blocked.
const guestInit = `#!/bin/sh
set -e
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc none /proc
mount -t sysfs none /sys
mount -t tmpfs none /run
mount -t tmpfs none /tmp
mkdir -p /tmp/modules/lib/modules '%[1]s'
mount -t hostfs none '%[1]s' -o '%[1]s'
ln -s "/usr/lib/uml/modules/$(uname -r)" /tmp/modules/lib/modules/
printf '#!/bin/sh\nexec /sbin/modprobe -d /tmp/modules "$@"\n' > /tmp/modprobe
chmod +x /tmp/modprobe
echo /tmp/modprobe > /proc/sys/kernel/modprobe
# Those of the first SA at once, as the guest is slow to start a program.
/tmp/modprobe -a -q af_packet esp4 esp6 xfrm_user authenc authencesn echainiv seqiv ghash-generic gcm ccm ctr cbc cmac hmac sha256_generic || true
ip -batch - <<END
link set lo up
link set vec0 name wan
link set vec1 name lan
link set vec2 name mgmt
link set wan addrgenmode none
link set lan addrgenmode none
link set mgmt addrgenmode none
addr add %[2]s/24 dev wan
addr add %[3]s/64 dev wan nodad
addr add 10.77.0.1/24 dev lan
addr add fd77::1/64 dev lan nodad
addr add fe80::1/64 dev lan nodad
addr add %[4]s/24 dev mgmt
link set wan up
link set lan up
link set mgmt up
route add default dev wan
END
echo 1 > /proc/sys/net/ipv4/ip_forward
echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter
ip xfrm policy setdefault fwd block
ip xfrm policy add dir fwd src %[5]s dst 0.0.0.0/0 priority 4000000 ptype main action allow
ip -6 xfrm policy add dir fwd src %[6]s dst ::/0 priority 4000000 ptype main action allow
export STRONGSWAN_CONF='%[7]s/strongswan.conf'
exec '%[7]s/bin/charon-systemd'
`

// bridge gives the gateway's lines to the guest.
func (g *Gateway) bridge() {
	g.t.Helper()
	lab.Need(g.t, "linux.uml", "modprobe")
	g.GateHost.Run("ip", "rule", "del", "pref", "10")
	g.GateHost.Run("ip", "-6", "rule", "del", "pref", "10")
	var lines strings.Builder
	for _, line := range []string{"wan", "lan"} {
		fmt.Fprintf(&lines, `addr flush dev %[1]s
tuntap add dev t%[1]s mode tap
link set t%[1]s addrgenmode none
link add b%[1]s type bridge
link set b%[1]s addrgenmode none
link set %[1]s master b%[1]s
link set t%[1]s master b%[1]s
link set t%[1]s up
link set b%[1]s up
`, line)
	}
	g.GateHost.IP(lines.String() + "tuntap add dev tmgmt mode tap\nlink set tmgmt addrgenmode none\naddr add 10.99.0.1/24 dev tmgmt\nlink set tmgmt up\n")
}

// guest is the command line of the guest.
func (s *Swan) guest() []string {
	s.t.Helper()
	dir := filepath.Dir(s.dir)
	script := filepath.Join(s.dir, "init")
	writeFile(s.t, script, fmt.Sprintf(guestInit, dir, Gate, Gate6, kernelHost, LanNet, LanNet6, s.dir))
	if err := os.Chmod(script, 0o755); err != nil { //nolint:gosec // the guest runs it
		s.t.Fatal(err)
	}
	return []string{
		lab.Path("linux.uml"), "mem=256M", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", "con=null", "con0=null,fd:1", "ssl=null",
		"init=" + script, "uml_dir=" + s.dir, "umid=guest",
		"vec0:transport=tap,ifname=twan,depth=128", "vec1:transport=tap,ifname=tlan,depth=128", "vec2:transport=tap,ifname=tmgmt,depth=64",
	}
}
