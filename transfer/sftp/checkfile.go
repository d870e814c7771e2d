package sftp

import (
	"context"
	"encoding/hex"
)

// The extensions by which a server sums up a file by itself
// (draft-ietf-secsh-filexfer-extensions-00, section 3). A server may name
// ExtCheckFile, which stands for both ways to say which file is meant.
const (
	ExtCheckFile     = "check-file"
	extCheckFileName = "check-file-name"
)

// sha256Name is what the draft calls SHA-256, and sha256Size its size in bytes.
const (
	sha256Name = "sha256"
	sha256Size = 32
)

// SHA256 asks the server for the SHA-256 of a whole file, in lower-case
// hexadecimal. It reads all of the file before it answers. One that cannot do it
// answers with a status.
//
// The request has, after the name of the extension:
//
//	string path | string algorithms | uint64 offset | uint64 length | uint32 block size
//
// where a length of 0 means the rest of the file and a block size of 0 one sum
// for all of it. The answer is the word check-file, which some leave out, the
// algorithm, and the sum.
func (c *Client) SHA256(ctx context.Context, path string) (string, error) {
	e := begin(0, 24+len(path)+len(sha256Name)).string(path).string(sha256Name).uint64(0).uint64(0).uint32(0)
	body, err := c.Extended(ctx, extCheckFileName, e.b[9:])
	if err != nil {
		return "", err
	}
	d := &decoder{b: body}
	algorithm := d.string()
	if algorithm == ExtCheckFile {
		algorithm = d.string()
	}
	if d.short || algorithm != sha256Name || len(d.b) != sha256Size {
		return "", broken("the sum of a file does not parse")
	}
	return hex.EncodeToString(d.b), nil
}
