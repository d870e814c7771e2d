package ikev2

// Sizes are how much a machine holds: IKE SAs, children with those that fade,
// and requests that are under way or wait for a turn.
func Sizes(m *Machine) (sas, children, requests int) {
	for _, sa := range m.sas {
		requests += len(sa.waiting)
		if sa.request != nil {
			requests++
		}
	}
	return len(m.sas), len(m.children) + len(m.fading), requests
}
