//go:build !windows

package pageant

import (
	"context"
	"errors"
)

var errNotWindows = errors.New("pipes and windows of agents are to be had on Windows only")

// Dial finds an agent on Windows, and fails elsewhere.
func Dial(context.Context) (conn Conn, how string, err error) { return nil, "", errNotWindows }

// DialPipe connects to a named pipe on Windows, and fails elsewhere.
func DialPipe(context.Context, string) (Conn, error) { return nil, errNotWindows }
