package trace

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/oschwald/maxminddb-golang/v2"

	"linehaul/fault"
)

// Places are MaxMind DB files that the user has: of cities or countries, of
// networks, or of both. They are read on this machine, and nobody is asked. A
// nil *Places knows nothing. It may be used concurrently.
type Places struct {
	files []*maxminddb.Reader
}

// OpenPlaces opens files. Its owner calls Close when no book uses them any
// more. A file may be replaced meanwhile, and must not be overwritten: it is
// mapped into memory.
func OpenPlaces(files ...string) (*Places, error) {
	p := &Places{}
	for _, name := range files {
		r, err := maxminddb.Open(name)
		if err != nil {
			p.Close() //nolint:errcheck // there is an error already
			return nil, fault.New(fault.Config, "read the places of routers from %q: %w", name, err).
				WithHint("it is to be a MaxMind DB file, as GeoLite2-City.mmdb or GeoLite2-ASN.mmdb")
		}
		p.files = append(p.files, r)
	}
	return p, nil
}

// Close closes the files.
func (p *Places) Close() error {
	var errs []error
	for _, r := range p.files {
		errs = append(errs, r.Close())
	}
	return errors.Join(errs...)
}

// A placeRecord is what is read of an entry: of the databases of cities and
// countries, and of networks (GeoLite2 City, Country, ASN).
type placeRecord struct {
	City struct {
		Names map[string]string `maxminddb:"names"`
	} `maxminddb:"city"`
	Country struct {
		Code  string            `maxminddb:"iso_code"`
		Names map[string]string `maxminddb:"names"`
	} `maxminddb:"country"`
	Number       uint32 `maxminddb:"autonomous_system_number"`
	Organisation string `maxminddb:"autonomous_system_organization"`
}

// find says where an address is, and whose network it is in. What the files do
// not know, or not rightly, is "".
func (p *Places) find(a netip.Addr) (place, as string) {
	if p == nil {
		return "", ""
	}
	for _, r := range p.files {
		var e placeRecord
		if err := r.Lookup(a).Decode(&e); err != nil {
			continue // of another kind, or damaged there
		}
		if place == "" {
			place = e.place()
		}
		if as == "" && e.Number > 0 {
			as = clean(fmt.Sprintf("AS%d %s", e.Number, e.Organisation))
		}
	}
	return place, as
}

// place is as in "Singapore, SG", or the country's name where no city is known.
func (e placeRecord) place() string {
	const language = "en"
	switch city := e.City.Names[language]; {
	case city != "" && e.Country.Code != "":
		return clean(city + ", " + e.Country.Code)
	case city != "":
		return clean(city)
	case e.Country.Names[language] != "":
		return clean(e.Country.Names[language])
	}
	return clean(e.Country.Code)
}
