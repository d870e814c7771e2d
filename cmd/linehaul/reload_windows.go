package main

// reloads delivers nothing: Windows has no SIGHUP. `linehaul service restart`
// brings a new config into force.
func reloads() (reload <-chan struct{}, stop func()) { return nil, func() {} }
