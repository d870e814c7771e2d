package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"linehaul/config"
	"linehaul/fault"
	"linehaul/keys"
	"linehaul/keys/guard"
	"linehaul/transfer/remote"
)

// shownKey is one key file as `keys show --json` prints it.
type shownKey struct {
	File        string     `json:"file"`
	Format      string     `json:"format,omitempty"`
	Type        string     `json:"type,omitempty"`
	Bits        int        `json:"bits,omitempty"`
	Fingerprint string     `json:"fingerprint,omitempty"`
	MD5         string     `json:"md5,omitempty"`
	Comment     string     `json:"comment"`
	Encrypted   bool       `json:"encrypted"`
	KDF         string     `json:"kdf,omitempty"`
	Certificate *shownCert `json:"certificate,omitempty"`
	Error       *shownErr  `json:"error,omitempty"`
}

// shownCert is what a certificate says.
type shownCert struct {
	KeyID       string   `json:"key_id"`
	Serial      uint64   `json:"serial"`
	Principals  []string `json:"principals"`
	ValidAfter  string   `json:"valid_after,omitempty"`
	ValidBefore string   `json:"valid_before,omitempty"`
	Authority   string   `json:"authority"`
}

type shownErr struct {
	Kind    string `json:"kind"`
	Message string `json:"message"`
	Hint    string `json:"hint"`
}

func (a *app) keysCmd() *cobra.Command {
	c := &cobra.Command{
		Use:   "keys",
		Short: "Show, convert and make keys",
		Args:  usageArgs(cobra.NoArgs),
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(a.keysShowCmd(), a.keysConvertCmd(), a.keysGenerateCmd(), a.keysInstallCmd(), a.keysAgentCmd())
	return c
}

func (a *app) keysShowCmd() *cobra.Command {
	ref := ""
	c := &cobra.Command{
		Use:   "show FILE...",
		Short: "Say what keys are, and whether they load",
		Args:  usageArgs(cobra.MinimumNArgs(1)),
		RunE:  func(c *cobra.Command, args []string) error { return a.keysShow(c.Context(), args, ref) },
	}
	c.Flags().StringVar(&ref, "passphrase", "", "passphrase of the keys: a `REF` such as env:NAME, file:PATH or command:CMD")
	return c
}

// resolve fetches a secret that a flag refers to; nil for no reference.
func resolve(ctx context.Context, flag, ref string) ([]byte, error) {
	if ref == "" {
		return nil, nil
	}
	s, err := config.ParseSecret(ref, ".")
	if err != nil {
		return nil, fault.New(fault.Usage, "--%s: %w", flag, err)
	}
	return s.Resolve(ctx)
}

func (a *app) keysShow(ctx context.Context, files []string, ref string) error {
	passphrase, err := resolve(ctx, "passphrase", ref)
	if err != nil {
		return err
	}
	rows := []shownKey{}
	var first error
	for _, file := range files {
		row, err := showKey(file, passphrase)
		if err != nil && first == nil {
			first = err
		}
		rows = append(rows, row)
	}
	if a.json {
		if err := a.printJSON(rows); err != nil {
			return err
		}
		if first != nil {
			return reported{first}
		}
		return nil
	}
	for _, r := range rows {
		a.printKey(r)
	}
	if first != nil && len(files) > 1 {
		return fault.New(fault.Key, "not every key could be loaded, first: %w", first)
	}
	return first
}

// showKey says what a file holds, and whether it loads as a key.
func showKey(file string, passphrase []byte) (shownKey, error) {
	row := shownKey{File: file}
	data, err := keys.ReadFile(file)
	if err == nil {
		var info *keys.Info
		if info, err = keys.Inspect(data); err == nil {
			row.fill(info)
			err = row.load(data, passphrase)
		}
	}
	if err != nil {
		row.Error = &shownErr{Kind: "other", Message: err.Error(), Hint: fault.HintOf(err)}
		var load *keys.LoadError
		if errors.As(err, &load) {
			row.Error.Kind = string(load.Kind)
		}
		return row, fault.Wrap(fault.Key, fmt.Errorf("%q: %w", file, err))
	}
	return row, nil
}

func (r *shownKey) fill(i *keys.Info) {
	r.Format, r.Type, r.Bits, r.Fingerprint, r.MD5 = string(i.Format), i.Type, i.Bits, i.Fingerprint, i.MD5
	r.Comment, r.Encrypted, r.KDF = i.Comment, i.Encrypted, i.KDF
	if c := i.Certificate; c != nil {
		sha256, _ := keys.Fingerprints(c.SignatureKey)
		r.Certificate = &shownCert{
			KeyID: c.KeyId, Serial: c.Serial, Principals: c.ValidPrincipals, Authority: sha256,
			ValidAfter: certTime(c.ValidAfter), ValidBefore: certTime(c.ValidBefore),
		}
	}
}

// certTime is a limit of a certificate's validity; empty for none.
func certTime(seconds uint64) string {
	if seconds == 0 || seconds > 1<<62 {
		return ""
	}
	return time.Unix(int64(seconds), 0).UTC().Format(time.RFC3339)
}

// load checks that a private key loads, and fills in what only that shows.
func (r *shownKey) load(data, passphrase []byte) error {
	switch keys.Format(r.Format) {
	case keys.OpenSSHPublic, keys.RFC4716, keys.Certificate:
		return nil
	default:
	}
	k, err := keys.ParsePrivate(data, passphrase)
	if err != nil {
		return err
	}
	public, err := k.Public()
	if err != nil {
		return err
	}
	info, err := keys.Inspect([]byte(keys.AuthorizedLine(public, "")))
	if err != nil {
		return err
	}
	r.Type, r.Bits, r.Fingerprint, r.MD5, r.Comment = info.Type, info.Bits, info.Fingerprint, info.MD5, k.Comment
	return nil
}

func (a *app) printKey(r shownKey) {
	fmt.Fprintf(a.stdout, "%s\n", printable(r.File))
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(a.stdout, "  %-12s %s\n", name, printable(value))
		}
	}
	line("format", r.Format)
	kind := r.Type
	if r.Bits > 0 {
		kind += fmt.Sprintf(", %d bits", r.Bits)
	}
	line("type", kind)
	line("fingerprint", r.Fingerprint)
	if r.MD5 != "" {
		line("", "MD5:"+r.MD5)
	}
	line("comment", r.Comment)
	if r.Encrypted {
		line("encrypted", "yes, "+dash(r.KDF))
	}
	if c := r.Certificate; c != nil {
		line("certificate", fmt.Sprintf("%q, serial %d, for %s, from %s until %s", c.KeyID, c.Serial,
			dash(strings.Join(c.Principals, ", ")), dash(c.ValidAfter), dash(c.ValidBefore)))
		line("signed by", c.Authority)
	}
	if r.Error != nil {
		line("error", r.Error.Message)
		line("hint", r.Error.Hint)
	}
}

type convertOptions struct {
	to, passphrase, newPassphrase string
	noPassphrase                  bool
}

func (a *app) keysConvertCmd() *cobra.Command {
	var o convertOptions
	c := &cobra.Command{
		Use:   "convert IN OUT --to FORMAT",
		Short: "Write a private key in another format",
		Long: `Write a private key in another format: openssh, pem, pkcs8, ppk2 or ppk3. What is
encrypted stays so, with the same passphrase unless another is given. OUT must
not exist; a certificate goes beside it where the format has no place for one.`,
		Args: usageArgs(cobra.ExactArgs(2)),
		RunE: func(c *cobra.Command, args []string) error { return a.keysConvert(c.Context(), args[0], args[1], o) },
	}
	c.Flags().StringVar(&o.to, "to", "", "the `FORMAT`: openssh, pem, pkcs8, ppk2 or ppk3")
	c.Flags().StringVar(&o.passphrase, "passphrase", "", "passphrase of IN: a `REF` such as env:NAME, file:PATH or command:CMD")
	c.Flags().StringVar(&o.newPassphrase, "new-passphrase", "", "passphrase of OUT, if it is to have another: a `REF`")
	c.Flags().BoolVar(&o.noPassphrase, "no-passphrase", false, "write OUT without a passphrase")
	return c
}

// writable are the formats that a private key can be written in.
func writable(name string) (keys.Format, error) {
	switch f := keys.Format(name); f {
	case keys.OpenSSH, keys.PEM, keys.PKCS8, keys.PPK2, keys.PPK3:
		return f, nil
	default:
		return "", fault.New(fault.Usage, "--to %q: want openssh, pem, pkcs8, ppk2 or ppk3", name)
	}
}

func (a *app) keysConvert(ctx context.Context, in, out string, o convertOptions) error {
	format, err := writable(o.to)
	if err != nil {
		return err
	}
	if o.noPassphrase && o.newPassphrase != "" {
		return fault.New(fault.Usage, "--no-passphrase and --new-passphrase exclude each other")
	}
	passphrase, err := resolve(ctx, "passphrase", o.passphrase)
	if err != nil {
		return err
	}
	defer clear(passphrase)
	data, err := keys.ReadFile(in)
	if err != nil {
		return err
	}
	k, err := keys.ParsePrivate(data, passphrase)
	if err != nil {
		return fault.Wrap(fault.Key, fmt.Errorf("%q: %w", in, err))
	}
	var next []byte
	switch {
	case o.noPassphrase:
	case o.newPassphrase != "":
		if next, err = resolve(ctx, "new-passphrase", o.newPassphrase); err != nil {
			return err
		}
	case k.Encrypted:
		next = bytes.Clone(passphrase)
	}
	defer clear(next)
	text, err := keys.Marshal(k, format, next, rand.Reader)
	if err != nil {
		return err
	}
	defer clear(text)
	if err := createKey(out, text); err != nil {
		return err
	}
	if k.Certificate != nil && format != keys.PPK2 && format != keys.PPK3 {
		if err := createPublic(out+"-cert.pub", keys.AuthorizedLine(k.Certificate, k.Comment)); err != nil {
			return err
		}
	}
	a.note("wrote %s as %s", out, format)
	return nil
}

// createKey writes a private key that only its owner may read.
func createKey(path string, text []byte) error {
	f, err := guard.Create(path)
	return fill(path, f, err, text)
}

func createPublic(path, line string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	return fill(path, f, err, []byte(strings.TrimRight(line, "\n")+"\n"))
}

// fill writes a new file, which it closes; what it cannot write whole it
// removes again. The error is that of making the file.
func fill(path string, f *os.File, err error, text []byte) error {
	open, isOpen := errors.AsType[*guard.OpenError](err)
	switch {
	case errors.Is(err, os.ErrExist):
		return fault.New(fault.Usage, "%q exists already", path).WithHint("name another file: keys are never overwritten")
	case isOpen:
		return fault.New(fault.LocalDisk, "create %q: %w", path, open).WithHint("name a file on a drive that keeps permissions")
	case err != nil:
		return fault.New(fault.LocalDisk, "create %q: %w", path, err)
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fault.New(fault.LocalDisk, "write %q: %w", path, errors.Join(err, os.Remove(path)))
	}
	return nil
}

type generateOptions struct {
	keyType, to, comment, passphrase string
	bits                             int
}

func (a *app) keysGenerateCmd() *cobra.Command {
	o := generateOptions{keyType: "ed25519", to: string(keys.OpenSSH)}
	c := &cobra.Command{
		Use:   "generate FILE",
		Short: "Make a new key pair: FILE, and FILE.pub for the server",
		Args:  usageArgs(cobra.ExactArgs(1)),
		RunE:  func(c *cobra.Command, args []string) error { return a.keysGenerate(c.Context(), args[0], o) },
	}
	c.Flags().StringVarP(&o.keyType, "type", "t", o.keyType, "the `TYPE`: ed25519, rsa or ecdsa")
	c.Flags().IntVarP(&o.bits, "bits", "b", 0, "size of an rsa (2048 to 8192) or ecdsa key (256, 384, 521)")
	c.Flags().StringVar(&o.to, "to", o.to, "the `FORMAT`: openssh, pem, pkcs8, ppk2 or ppk3")
	c.Flags().StringVarP(&o.comment, "comment", "C", "", "a `TEXT` to know the key by")
	c.Flags().StringVar(&o.passphrase, "passphrase", "", "encrypt it: a `REF` such as env:NAME, file:PATH or command:CMD")
	return c
}

func (a *app) keysGenerate(ctx context.Context, file string, o generateOptions) error {
	format, err := writable(o.to)
	if err != nil {
		return err
	}
	passphrase, err := resolve(ctx, "passphrase", o.passphrase)
	if err != nil {
		return err
	}
	defer clear(passphrase)
	k, err := keys.Generate(o.keyType, o.bits)
	if err != nil {
		return err
	}
	k.Comment = o.comment
	public, err := k.Public()
	if err != nil {
		return err
	}
	text, err := keys.Marshal(k, format, passphrase, rand.Reader)
	if err != nil {
		return err
	}
	defer clear(text)
	if err := createKey(file, text); err != nil {
		return err
	}
	if err := createPublic(file+".pub", keys.AuthorizedLine(public, o.comment)); err != nil {
		return err
	}
	sha256, _ := keys.Fingerprints(public)
	a.note("wrote %s and %s.pub: %s %s", file, file, public.Type(), sha256)
	return nil
}

func (a *app) keysInstallCmd() *cobra.Command {
	var o hostFlags
	file := remote.AuthorizedKeys
	c := &cobra.Command{
		Use:   "install HOST KEY",
		Short: "Put the public half of a key on a server, so that the key logs in",
		Long: `Add the public half of a key to the server's authorized_keys, once, and leave the
rest of that file as it is. It takes another way to log in: another key, the
agent or a password. HOST is a name in the config or user@address[:port]; KEY is
a private key with KEY.pub beside it, or a public one.`,
		Args: usageArgs(cobra.ExactArgs(2)),
		RunE: func(c *cobra.Command, args []string) error {
			return a.keysInstall(c.Context(), args[0], args[1], file, o)
		},
	}
	o.add(c)
	c.Flags().StringVar(&file, "file", file, "the `FILE` on the server, such as .ssh/authorized_keys2 where it reads that")
	return c
}

func (a *app) keysInstall(ctx context.Context, arg, key, file string, o hostFlags) error {
	public, err := keys.Public(key)
	if err != nil {
		return err
	}
	t, err := parseJump(arg)
	if err != nil {
		return fault.New(fault.Usage, "%q: want a host of the config, or user@address[:port]", arg)
	}
	h, err := a.host(t, o)
	if err != nil {
		return err
	}
	conn, err := a.connect(ctx, h)
	if err != nil {
		return err
	}
	defer conn.Close()
	added, err := conn.Authorize(ctx, file, keys.AuthorizedLine(public, filepath.Base(key)))
	if err != nil {
		return err
	}
	sha256, _ := keys.Fingerprints(public)
	if added {
		a.note("added %s to %s on %s", sha256, file, h.Name)
	} else {
		a.note("%s is in %s on %s already", sha256, file, h.Name)
	}
	return nil
}

// agentKey is one key of an agent as `keys agent --json` prints it.
type agentKey struct {
	Type        string `json:"type"`
	Fingerprint string `json:"fingerprint"`
	Comment     string `json:"comment"`
}

func (a *app) keysAgentCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "agent",
		Short: "List the keys that the agent offers",
		Args:  usageArgs(cobra.NoArgs),
		RunE:  func(c *cobra.Command, _ []string) error { return a.keysAgent(c.Context()) },
	}
}

func (a *app) keysAgent(ctx context.Context) error {
	agent, err := keys.OpenAgent(ctx, a.agentSocket())
	if err != nil {
		return err
	}
	defer func() { agent.Close() }() //nolint:errcheck // it was only asked
	held, err := agent.Keys()
	if err != nil {
		return err
	}
	rows := []agentKey{}
	for _, k := range held {
		rows = append(rows, agentKey{k.Type, k.Fingerprint, k.Comment})
	}
	if a.json {
		return a.printJSON(rows)
	}
	if len(rows) == 0 {
		a.note("the agent holds no keys")
	}
	for _, r := range rows {
		fmt.Fprintf(a.stdout, "%s %s %s\n", r.Fingerprint, r.Type, printable(r.Comment))
	}
	return nil
}
