package config

import _ "embed"

//go:embed sample.yaml
var sample string

// Sample returns a first file with comments, which is valid as it stands.
func Sample() []byte { return []byte(sample) }
