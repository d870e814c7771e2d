//go:build linux || darwin || freebsd

package winsvc

import (
	"github.com/kardianos/service"
)

// system says what manages services here, as kardianos/service found out when
// the process started.
func system() manager {
	id := service.Platform()
	for _, p := range platforms() {
		if p.id == id {
			p.addUnit = func(s *Service, text string) error {
				return p.withKardianos(s, text, service.Service.Install)
			}
			p.removeUnit = func(s *Service) error {
				if err := p.withKardianos(s, "", service.Service.Uninstall); err != nil {
					return err
				}
				return p.after(s)
			}
			return &unixManager{p.platform}
		}
	}
	return unsupported(id)
}

// kardianosPlatform is a platform whose unit files kardianos/service installs.
type kardianosPlatform struct {
	platform
	option string // under which it takes the text of one
	// after takes away what its Uninstall leaves.
	after func(s *Service) error
}

func nothing(*Service) error { return nil }

// withKardianos calls one of kardianos/service's methods. It takes the text of
// a unit file as a template, which ours is one of, having no actions.
func (p kardianosPlatform) withKardianos(s *Service, text string, do func(service.Service) error) error {
	k, err := service.New(noProgram{}, &service.Config{
		Name: s.Name, DisplayName: s.DisplayName, Description: s.Description,
		Executable: s.Executable, Arguments: s.Arguments,
		Option: service.KeyValue{p.option: text},
	})
	if err != nil {
		return err
	}
	return do(k)
}

// noProgram is there because service.New wants a program; it is never run.
type noProgram struct{}

func (noProgram) Start(service.Service) error { return nil }
func (noProgram) Stop(service.Service) error  { return nil }
