package main

import (
	"fmt"
	"time"
)

// bytesText writes a number of bytes as people read it, in powers of 1024.
func bytesText(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	v := float64(n)
	for _, unit := range []string{"KiB", "MiB", "GiB", "TiB"} {
		v /= 1024
		if v < 1024 {
			return fmt.Sprintf("%.1f %s", v, unit)
		}
	}
	return fmt.Sprintf("%.1f PiB", v/1024)
}

// rateText writes bytes over a time as a rate; empty where it would say
// nothing about the line, as with few bytes.
func rateText(n int64, d time.Duration) string {
	if d < time.Millisecond || n < 1<<20 {
		return ""
	}
	return bytesText(int64(float64(n)/d.Seconds())) + "/s"
}
