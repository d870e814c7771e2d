package keys

import (
	"cmp"
	"errors"
	"fmt"

	"linehaul/keys/ppk"
)

// recognizePPK hands a PuTTY file to ppk and fits what that says to ours.
func recognizePPK(data []byte) (*file, error) {
	info, err := ppk.Inspect(data)
	f := &file{}
	if info != nil {
		f.Info = Info{
			Format:      Format(fmt.Sprintf("ppk%d", info.Version)),
			Type:        info.Algorithm,
			Comment:     info.Comment,
			Encrypted:   info.Encrypted,
			KDF:         info.KDF,
			Certificate: info.Certificate,
		}
		if f.Encrypted {
			f.Cipher = "aes256-cbc"
			if f.KDF == "" {
				f.KDF = "SHA1, 1 round" // before version 3
			}
		}
		if info.Public != nil {
			if describeErr := f.describe(plainKey(info.Public).Marshal()); err == nil {
				err = describeErr
			}
		}
	}
	if err == nil && f.Encrypted {
		// Without a passphrase it says what is in the way beside that.
		_, err = ppk.Parse(data, nil)
		if e, ok := errors.AsType[*ppk.Error](err); ok && e.Kind == ppk.NeedPassphrase {
			err = nil
		}
	}
	if err != nil {
		return f, ppkError(err)
	}
	f.open = func(passphrase []byte) (*PrivateKey, error) {
		k, err := ppk.Parse(data, passphrase)
		if err != nil {
			return nil, ppkError(err)
		}
		return &PrivateKey{Key: k.Private, Comment: k.Comment, Certificate: k.Certificate}, nil
	}
	return f, nil
}

// ppkError sorts an error of ppk.
func ppkError(err error) error {
	e, ok := errors.AsType[*ppk.Error](err)
	if !ok {
		return err
	}
	switch e.Kind {
	case ppk.NeedPassphrase:
		return needsPassphrase()
	case ppk.WrongPassphrase:
		return wrongPassphrase()
	case ppk.Unsupported:
		return refuse(Unsupported, cmp.Or(e.Hint, hintNewKey), "%s", e)
	case ppk.TooCostly:
		return refuse(TooCostly, cmp.Or(e.Hint, hintNewKey), "%s", e)
	case ppk.Damaged:
	}
	return damaged("%s", e)
}
