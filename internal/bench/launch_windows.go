package bench

import "errors"

// launch is not built for Windows: the lab has no server there.
func (r *runner) launch(client, job) Transfer {
	return Transfer{Err: errors.New("clients are not launched on Windows")}
}

// Launched reports that this process is not a launcher.
func Launched() bool { return false }
