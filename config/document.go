package config

// The structs below are the file as it is written: one field for each key,
// with its name, default, description and an example, from which the decoder,
// the JSON Schema and the documentation are made. What must hold between the
// keys is in rules.go. A key of type planned is refused as not built yet.

type document struct {
	State      text             `yaml:"state" doc:"Folder of what linehaul must remember: runs, receipts, what was fetched. Relative to this file." example:"/var/lib/linehaul"`
	Logs       logsSection      `yaml:"logs" doc:"The log files of runs."`
	KnownHosts texts            `yaml:"known_hosts" doc:"Files with host keys in OpenSSH's known_hosts format, for all hosts that name none of their own." example:"~/.ssh/known_hosts"`
	SSHConfig  text             `yaml:"ssh_config" also:"sshconfig sshconfigfile" doc:"File of OpenSSH's client configuration, for all hosts that name none of their own: what a host does not say here is looked up there, by the host's name. It is read as ssh -F does, without the system's own file." example:"~/.ssh/config"`
	Bandwidth  timetable        `yaml:"bandwidth" also:"bwlimit ratelimit limit speed" doc:"How fast all runs together may be; as in a host." example:"2MB/s"`
	Hosts      named[hostEntry] `yaml:"hosts" doc:"The SSH servers, each under a name of your choice."`
	Links      named[linkEntry] `yaml:"links" also:"tunnels vpns" doc:"The ways to networks, each under a name of your choice."`
	Jobs       named[jobEntry]  `yaml:"jobs" doc:"What to transfer, from where to where, and when, each under a name of your choice."`

	Store   storeRef       `yaml:"store" also:"database db" doc:"The database that runs, firings and all else that is remembered are kept in, for machines that share a schedule: a URL of PostgreSQL without a password, or a reference to a secret that is one with it. A file in the state folder if left out." example:"file:store.url"`
	Node    nodeSection    `yaml:"node" doc:"This machine among those that share a schedule."`
	Limits  limitsSection  `yaml:"limits" also:"concurrency" doc:"How many runs may be under way at a time."`
	History historySection `yaml:"history" also:"retention" doc:"How long the record keeps runs."`

	Notify planned `yaml:"notify"`
	Web    planned `yaml:"web"`
}

type logsSection struct {
	Dir      text     `yaml:"dir" also:"folder path" doc:"Folder of the log files. Relative to this file." example:"/var/log/linehaul"`
	Name     text     `yaml:"name" default:"{job}/{date}-{time}-{run}.log" doc:"Name of a run's log below the folder, with stamps. Several runs may share a file; it is appended to then." example:"{job}/{date:%Y-%m}.log"`
	Format   choice   `yaml:"format" choices:"text json" default:"text" doc:"Lines for people, or JSON objects for programs."`
	Level    choice   `yaml:"level" choices:"debug info warn error" default:"info" doc:"The least important lines that are written."`
	MaxSize  size     `yaml:"max_size" default:"10MiB" doc:"Size after which a log that is appended to is put aside and begun anew." example:"10MiB"`
	MaxAge   duration `yaml:"max_age" default:"90d" doc:"How long logs are kept; 0s keeps them for ever." example:"90d"`
	Keep     number   `yaml:"keep" range:"0 1000000" default:"0" doc:"How many logs that were put aside are kept; 0 sets no number." example:"10"`
	Compress flag     `yaml:"compress" default:"true" doc:"Whether logs that were put aside are compressed."`
}

type hostEntry struct {
	Address        text      `yaml:"address" also:"host hostname server ip" doc:"Name or IP address of the server, with :PORT if it is not 22. An IPv6 address with a port stands in brackets. Needed, unless there is an ssh_config." example:"10.20.0.5"`
	Port           number    `yaml:"port" range:"1 65535" default:"22" doc:"TCP port of the SSH server, where the address does not give it." example:"22"`
	User           text      `yaml:"user" also:"username login" doc:"Login name on the server. Needed, unless there is an ssh_config that gives it." example:"backup"`
	Keys           texts     `yaml:"keys" also:"identity identityfile identities keyfile privatekey privatekeys" doc:"Private key files, relative to this file; the word agent stands for ssh-agent or Pageant. Without keys and password, the agent is used." example:"id_ed25519"`
	Certificate    texts     `yaml:"certificate" also:"certificates certificatefile cert" doc:"Certificate files for the keys or for the agent's, where they do not lie beside the key as KEY-cert.pub." example:"certs/id_ed25519-cert.pub"`
	IdentitiesOnly flag      `yaml:"identities_only" also:"identitiesonly" default:"true" doc:"Whether an agent's keys are offered only if they belong to the key files or certificates, where there are key files. If false, its other keys follow them, six in all."`
	Passphrase     secretRef `yaml:"passphrase" doc:"What the key files are encrypted with: a reference to a secret, never the secret itself." example:"env:HK1_PASS"`
	Password       secretRef `yaml:"password" doc:"For servers that take no key: a reference to a secret, never the secret itself." example:"file:hk1.password"`
	HostKeys       texts     `yaml:"host_keys" also:"fingerprint fingerprints hostkey pin pins" doc:"The server's own keys, as fingerprints or public keys. Any other key is refused." example:"SHA256:uNiVztksCsDhcc0u9e8BrZJ16Rq8Ee8qzbvPKFMZ6JQ"`
	KnownHosts     texts     `yaml:"known_hosts" doc:"Files with the server's key in OpenSSH's known_hosts format." example:"known_hosts"`
	SSHConfig      text      `yaml:"ssh_config" also:"sshconfig sshconfigfile" doc:"File of OpenSSH's client configuration, in which is looked up by the host's name what is not said here; none for none." example:"~/.ssh/config"`
	Jump           text      `yaml:"jump" also:"proxyjump via" doc:"Name of another host, through which this one is reached." example:"bastion"`
	Protocol       choice    `yaml:"protocol" choices:"auto sftp scp" default:"auto" doc:"How files are moved. With auto, SFTP is tried first."`
	ConnectTimeout duration  `yaml:"connect_timeout" default:"30s" doc:"How long connecting and logging in may take." example:"30s"`
	StallTimeout   duration  `yaml:"stall_timeout" default:"60s" doc:"How long the server may be silent in a transfer." example:"60s"`
	Keepalive      duration  `yaml:"keepalive" default:"15s" doc:"How often an idle connection is probed; 0s never." example:"15s"`

	Legacy texts `yaml:"legacy" doc:"Algorithms of the past that this server needs, each by its name, such as ssh-dss or diffie-hellman-group1-sha1. Each run warns of them." example:"ssh-dss"`

	Bandwidth timetable `yaml:"bandwidth" also:"bwlimit ratelimit limit speed" doc:"How fast all runs to and from this host together may be, and those that go through it: a rate such as 2MB/s, 16Mbit/s or off, or one for each of several times, on the clock of this machine or of the timezone that stands among them." example:"2MB/s"`

	Runs number `yaml:"runs" also:"max_runs" range:"0 10000" default:"0" doc:"How many runs to and from this host there are at a time, on all nodes together; 0 leaves it to limits.per_host." example:"2"`

	Link text `yaml:"link" also:"tunnel vpn" default:"direct" doc:"Name of the link that this host is reached by, and by nothing else, with the hosts that it jumps through." example:"hongkong"`
}

type jobEntry struct {
	Schedule    texts        `yaml:"schedule" also:"cron when at" doc:"When to run: cron with 5 or 6 fields, @daily, @every 15m, or a list of these. Without it and depends_on, the job runs by hand only." example:"30 2 * * mon-fri"`
	DependsOn   dependencies `yaml:"depends_on" also:"dependson depends needs requires waitfor upstream" doc:"Jobs that must have succeeded: a name, a mapping such as {job: fetch-rates, within: today, before: '08:30'}, or a list of these. Without a schedule, the job fires when all of them have succeeded since its own last run; with one, a firing for which they have not is skipped." example:"fetch-rates"`
	DependsWait duration     `yaml:"depends_wait" also:"dependswait waitfor dependstimeout" default:"0s" doc:"How long a firing waits for what it depends on, before it is skipped." example:"2h"`
	Splay       duration     `yaml:"splay" also:"jitter spread random_delay" default:"0s" doc:"By how much later than its time a firing comes at most. By how much, the job's name decides: the same on each day, and another for each job." example:"5m"`
	NotOn       texts        `yaml:"not_on" also:"except_on holidays blackout calendar" doc:"When the job does not run, by the clock of its timezone: dates, ranges of them (2026-12-24..2027-01-02), parts of the week (08:00-18:00 mon-fri), and iCalendar files (holidays.ics). Such a firing is recorded as skipped." example:"2026-12-24..2027-01-02"`
	CatchUp     choice       `yaml:"catch_up" also:"catchup missed misfire" choices:"none once all" default:"once" doc:"What becomes of firings that passed while linehaul did not run or the machine slept: none of them runs, the last one for all, or each, up to 100."`
	Window      duration     `yaml:"catch_up_window" also:"catchup_window deadline" default:"24h" doc:"How long ago a firing may have passed and still be made up for; 0s: any time." example:"24h"`
	Timezone    text         `yaml:"timezone" also:"tz zone" doc:"IANA name of the zone of schedule and stamps; the machine's own if left out." example:"Asia/Singapore"`
	RunOn       texts        `yaml:"run_on" also:"runon nodes onnode" doc:"Names or labels of the nodes that the job may run on, where several machines share a schedule; each will do. Any node if left out." example:"hk-mover-1"`
	Get         texts        `yaml:"get" also:"source sources from pull download" doc:"What to fetch: HOST:PATH, or a list of them from one host. Wildcards are expanded on the server." example:"hk1:/var/backups/*.sql.gz"`
	Put         texts        `yaml:"put" also:"push upload" doc:"What to send: local paths, relative to this file. Wildcards are expanded." example:"reports/*.pdf"`
	Sync        text         `yaml:"sync" also:"mirror rsync" doc:"The folder that is mirrored, HOST:PATH or a local one: afterwards the folder of to holds what it does." example:"hk1:/srv/www"`
	To          text         `yaml:"to,required" also:"dest destination target" doc:"Where to: a local path for get, HOST:PATH for put, either of them for sync. May hold stamps such as {date} and {name}; ends in / if it is a folder." example:"/srv/backup/{date}/{name}"`
	Recursive   flag         `yaml:"recursive" default:"false" doc:"Whether folders are taken with all that is in them."`
	Include     texts        `yaml:"include" also:"filter pattern patterns match mask" flag:"only files that match a |PATTERN|, by path or, without a slash in it, by name (repeatable)" doc:"Patterns, of which a file must match one: * ? [a-z] {a,b} and ** against the path below the source's folder, or against the name where there is no slash; a slash at the end stands for a folder with all in it." example:"*.csv"`
	Exclude     texts        `yaml:"exclude" also:"ignore except skip" flag:"no files and folders that match a |PATTERN| (repeatable)" doc:"Patterns, of which a file must match none; they win over include, and folders that match are not looked into." example:"cache/"`
	MinSize     size         `yaml:"min_size" flag:"only files of at least this |SIZE|, such as 1 or 10MiB" doc:"The least size of a file that is taken." example:"1"`
	MaxSize     size         `yaml:"max_size" flag:"only files of at most this |SIZE|" doc:"The largest size of a file that is taken." example:"2GiB"`
	MinAge      duration     `yaml:"min_age" also:"older_than" flag:"only files last changed at least a |DURATION| ago, such as 10m" doc:"How long before the run a file must have been changed last." example:"10m"`
	MaxAge      duration     `yaml:"max_age" also:"newer_than younger_than" flag:"only files last changed at most a |DURATION| ago, such as 7d" doc:"How long before the run a file may have been changed last." example:"7d"`
	OnlyNew     newness      `yaml:"only_new" choices:"ledger" default:"false" also:"new_only newer update ledger" flag:"leave out files that the target has with the same size and time" doc:"Whether files are left alone that the target has with the same size and, within two seconds, the same time; ledger leaves alone what the job has moved before, as it is now, wherever it went from the target."`
	Newest      number       `yaml:"newest" range:"1 100000" also:"latest" flag:"only the |N| newest files of each source" doc:"How many files of each source are taken, the newest by their time; all if left out." example:"1"`
	Settle      text         `yaml:"settle" also:"stable quiet sentinel" flag:"only files that nobody writes any more: |WHEN| is how long unchanged, or what lies beside one: {name}.ok" doc:"Only files that nobody writes any more: a duration for which size and time must not change, or the name of a file beside it that says so, with {name} or {stem} in it." example:"30s"`
	Hidden      flag         `yaml:"hidden" default:"true" flag:"in folders, what has a dot at the beginning of its name too" doc:"Whether folders are taken with what has a dot at the beginning of its name."`
	Symlinks    choice       `yaml:"symlinks" choices:"skip follow copy" default:"skip" also:"links" flag:"links in folders: |HOW| is skip, follow or copy; never out of the folder" doc:"What becomes of symbolic links in folders that are taken: left out, taken as what they lead to, or made anew; never out of the folder. A link that the source itself matches is taken as the file that it leads to."`
	Depth       number       `yaml:"depth" range:"1 255" also:"max_depth maxdepth" flag:"files at most |N| folders deep, 1 for those in the source's own" doc:"How deep files may lie below the source's folder, 1 for those in it; any depth if left out." example:"1"`
	Names       choice       `yaml:"names" choices:"refuse map" default:"refuse" flag:"names that the target cannot hold: |HOW| is refuse or map" doc:"What becomes of names that the target's system cannot hold, such as a:b on Windows: the file fails, or each such character is written as another one, which a put from there undoes."`
	Compare     choice       `yaml:"compare" choices:"size-time hash" default:"size-time" doc:"Of sync: what tells a file from its copy: size and, within two seconds, time; or size and SHA-256, which the server must be able to say."`
	Delete      flag         `yaml:"delete" default:"false" doc:"Of sync: whether what the source does not have is deleted from the target, last and only if everything else went well, and never if the source is empty or could not be listed whole."`
	MaxDelete   share        `yaml:"max_delete" default:"50%" also:"maxdelete" doc:"Of sync: how much delete may delete, as a number of files and folders or as a percentage of those at the target, which always allows ten; if it would be more, nothing is." example:"100"`

	DeleteExcluded flag `yaml:"delete_excluded" default:"false" doc:"Of sync: whether delete deletes what is excluded, hidden, too deep or not included, too."`

	Retry         retryEntry `yaml:"retry" also:"retries" doc:"What happens when a run fails for a reason that may pass."`
	Timeout       duration   `yaml:"timeout" default:"24h" doc:"How long a run may take, with all its attempts." example:"2h"`
	Overlap       choice     `yaml:"overlap" also:"concurrency concurrencypolicy" choices:"skip queue cancel allow" default:"skip" doc:"What becomes of a firing, or a run by hand, while the job still runs: it is left out, it waits, the run under way is stopped for it, or both run. The last needs {run} in to."`
	IfNone        choice     `yaml:"if_none" choices:"ok warn fail" default:"fail" doc:"What it means when nothing matches."`
	Verify        choice     `yaml:"verify" choices:"size auto sha256" default:"auto" also:"checksum verification" doc:"How a copy is held against its source before it gets its name: size and time; auto, the SHA-256 too for files from 1 MiB on, where the server can say it by a program or a file beside the source does; sha256, for every file, and a failure where that cannot be done." example:"auto"`
	Connections   number     `yaml:"connections" range:"0 16" default:"0" doc:"How many connections large files are moved over; 0 leaves it to the line: as many as make it faster, at most 2. With 2 or more, and far away with 0, others log in beside the first by its key file; 1 prevents that." example:"4"`
	FilesInFlight number     `yaml:"files_in_flight" range:"0 256" default:"0" doc:"How many files are moved at a time; 0 leaves it to the protocol: 64 or more by SFTP, 4 by SCP." example:"16"`
	Bandwidth     timetable  `yaml:"bandwidth" also:"bwlimit ratelimit limit speed" doc:"How fast a run may be: a rate such as 2MB/s, 16Mbit/s or off, or one for each of several times, on the clock of the job's timezone. Limits of the host hold besides." example:"2MB/s"`
	MaxTransfer   size       `yaml:"max_transfer" also:"transfer_limit quota" doc:"How much a run may move at most: no file is begun that would go over it, by its size. What is left is named, and the run ends as partly done." example:"10GiB"`
	MaxDuration   duration   `yaml:"max_duration" also:"stop_after" doc:"After which time a run stops, with what is under way kept for the next one to go on with. Unlike timeout, it is no failure to be tried again." example:"2h"`
	Preserve      flag       `yaml:"preserve" default:"false" also:"preserve_modes keep_modes" doc:"Whether a get gives files exactly the permission bits of their sources. Otherwise the umask takes some off. A put always does, and modification times are always kept."`
	KeepBad       flag       `yaml:"keep_bad" default:"false" also:"keep_failed keep_corrupt" doc:"Whether a copy that is not what its source is stays for examination, beside its target as .NAME.RUN.bad."`
	SpaceCheck    flag       `yaml:"space_check" default:"true" doc:"Whether a run fails before it moves anything if the target's disk says that it has less room than the files need; false for disks that compress."`
	Log           text       `yaml:"log" also:"logfile" doc:"Name of the log of this job's runs below the log folder, in place of logs.name." example:"nightly/{date}.log"`
	Disabled      flag       `yaml:"disabled" default:"false" doc:"Keeps the job from running by its schedule."`

	Keep  keepEntry  `yaml:"keep" also:"retention retain rotate prune" doc:"Which of the dated copies stay, after a run that fully succeeded. Without it, all do."`
	After afterEntry `yaml:"after" doc:"What happens when a file was moved."`

	Checks checksEntry `yaml:"checks" also:"preflight probes" doc:"What is asked before each attempt. Each check is require, wait, warn or off, or a mapping with on_fail and what it may be told; with a mapping, one that is off otherwise warns."`

	Hooks  planned `yaml:"hooks"`
	Notify planned `yaml:"notify"`
}

// A check that fails ends the attempt if it is required, and puts it off if it is
// one to wait for. One that cannot tell does neither.
type checksEntry struct {
	Name  checkOf[plainCheck] `yaml:"name" also:"dns resolve" default:"require" doc:"Whether the host's name resolves, to an address within the networks of its link if it has one. As far as other checks need it, it is looked up even if this is off."`
	Link  checkOf[plainCheck] `yaml:"link" also:"route tunnel vpn" default:"require" doc:"Whether there is a route to the host, by the link that it has, or its tunnel comes up."`
	Ping  checkOf[pingEntry]  `yaml:"ping" also:"icmp echo" default:"warn" doc:"A series of echoes, for loss, round trips and jitter. If it only warns, nobody waits for it. A host that answers no echo is no failure, as many firewalls drop them."`
	Port  checkOf[portEntry]  `yaml:"port" also:"tcp ports" default:"require" doc:"Whether the host's port is open. The connection that finds out is the one that is then used."`
	Trace checkOf[traceEntry] `yaml:"trace" also:"traceroute mtr" default:"off" doc:"The routers on the way: where packets end, and where loss begins."`
	MTU   checkOf[plainCheck] `yaml:"mtu" also:"pmtu" default:"off" doc:"The largest packet that passes, and whether larger ones vanish in silence. A tunnel is told."`
	Space checkOf[plainCheck] `yaml:"space" also:"disk" default:"require" doc:"Whether the folder on this machine that files are to land in can be written, and its disk is not full."`
	Clock checkOf[plainCheck] `yaml:"clock" also:"time" default:"off" doc:"Whether the server's clock is within five seconds of this machine's, by a login of its own: by what a command there says, or by a file that is made and removed in the login folder."`

	WaitEvery  duration `yaml:"wait_every" default:"1m" doc:"How long a run waits before it asks again, when a check failed that is one to wait for. That is no attempt." example:"5m"`
	WaitAtMost duration `yaml:"wait_at_most" default:"1h" doc:"How long a run waits for its checks in all. After that they are required." example:"6h"`

	Evidence flag `yaml:"evidence" default:"true" doc:"Whether the line is looked at once more when an attempt failed in the network, the tunnel or SSH; what is found is kept with the run."`
}

type plainCheck struct {
	OnFail choice `yaml:"on_fail" choices:"require wait warn" doc:"What becomes of the attempt if the check fails."`
}

type pingEntry struct {
	Count     number     `yaml:"count" range:"1 1000" default:"5" doc:"How many echoes." example:"10"`
	Interval  duration   `yaml:"interval" default:"100ms" doc:"From one to the next." example:"200ms"`
	Timeout   duration   `yaml:"timeout" default:"2s" doc:"How long an answer is waited for." example:"2s"`
	Size      number     `yaml:"size" range:"0 65000" default:"56" doc:"Bytes of data in each." example:"56"`
	MaxLoss   percentage `yaml:"max_loss" also:"loss" doc:"How many may stay without an answer; any number, as long as one comes, if left out." example:"5%"`
	MaxRTT    duration   `yaml:"max_rtt" also:"rtt latency max_latency" default:"0s" doc:"How long a round trip may take in the median; 0s: any time." example:"400ms"`
	MaxJitter duration   `yaml:"max_jitter" also:"jitter" default:"0s" doc:"How much a round trip may differ from the one before it, in the mean; 0s: any." example:"50ms"`
	OnFail    choice     `yaml:"on_fail" choices:"require wait warn" doc:"What becomes of the attempt if the check fails."`
}

type portEntry struct {
	Also   ports  `yaml:"also" also:"ports more" doc:"More ports that must be open of the host, or of the outermost of its jump hosts if it has any: a number, with /udp behind it if it is one of UDP." example:"123/udp"`
	OnFail choice `yaml:"on_fail" choices:"require wait warn" doc:"What becomes of the attempt if the check fails."`
}

type traceEntry struct {
	Method choice `yaml:"method" choices:"tcp udp icmp" default:"tcp" doc:"What the probes are: TCP to the host's port, UDP, or echoes."`
	OnFail choice `yaml:"on_fail" choices:"require wait warn" doc:"What becomes of the attempt if the check fails."`
}

type retryEntry struct {
	Attempts number `yaml:"attempts" range:"1 1000" default:"3" doc:"How often a run is tried, the first time included." example:"3"`
	Backoff  period `yaml:"backoff" default:"30s..10m" doc:"How long to wait between attempts: the first wait, and the longest that it grows to." example:"30s..10m"`
}

type keepEntry struct {
	Last    number   `yaml:"last" range:"0 1000000" default:"0" doc:"How many of the newest copies of each file stay." example:"3"`
	Daily   number   `yaml:"daily" also:"days" range:"0 1000000" default:"0" doc:"Of how many of the last days with a copy the newest stays." example:"7"`
	Weekly  number   `yaml:"weekly" also:"weeks" range:"0 1000000" default:"0" doc:"Of how many of the last weeks with a copy the newest stays. Weeks begin on Monday." example:"4"`
	Monthly number   `yaml:"monthly" also:"months" range:"0 1000000" default:"0" doc:"Of how many of the last months with a copy the newest stays." example:"12"`
	Yearly  number   `yaml:"yearly" also:"years" range:"0 1000000" default:"0" doc:"Of how many of the last years with a copy the newest stays." example:"3"`
	Within  duration `yaml:"within" default:"0s" doc:"How much older than the newest copy those are that all stay." example:"30d"`
}

type afterEntry struct {
	Source disposal `yaml:"source" default:"keep" doc:"What becomes of the source once its copy is verified and durable: keep, delete, or {move: PATH}."`
}

type moveEntry struct {
	Move text `yaml:"move,required" doc:"Where the source is moved to on its own side: a folder, or with {name}, {stem}, {ext}, {path} or {mtime} a name. Relative to the source's folder. Never over another file." example:"done"`
}
