package sftp

// drop sends a request whose answer does not matter.
func (c *Client) drop(e *encoder) {
	if q, err := c.send(e); err == nil {
		c.leave(q)
	}
}

// An outgoing is a request on its way: packet makes its bytes of the id that is
// given to it.
type outgoing struct {
	packet func(id uint32) []byte
	closes string // as encoder has it
	destination
}

// request is what an encoder holds, for sendAll.
func (e *encoder) request() outgoing { return outgoing{packet: e.seal, closes: e.closes} }

// send sends what an encoder holds.
func (c *Client) send(e *encoder) (*request, error) { return c.sendOne(e.request()) }

func (c *Client) sendOne(o outgoing) (*request, error) {
	requests, err := c.sendAll(o)
	if err != nil {
		return nil, err
	}
	return requests[0], nil
}

// sendAll sends requests one behind the other. After an error none of them is
// waited for.
func (c *Client) sendAll(all ...outgoing) ([]*request, error) {
	made, requests := make([]request, len(all)), make([]*request, len(all))
	ids, packets := make([]uint32, len(all)), make([][]byte, len(all))
	c.mu.Lock()
	if c.pending == nil {
		err := ended(c.err)
		c.mu.Unlock()
		return nil, err
	}
	for i, o := range all {
		for c.pending[c.next] != nil {
			c.next++
		}
		made[i] = request{done: make(chan struct{}), destination: o.destination, closes: o.closes}
		requests[i], ids[i] = &made[i], c.next
		c.pending[c.next] = requests[i]
		c.next++
	}
	c.mu.Unlock()
	if c.options.Sent != nil {
		for range all {
			c.options.Sent()
		}
	}
	for i, o := range all {
		packets[i] = o.packet(ids[i])
	}
	if err := c.out.send(packets); err != nil {
		for i, id := range ids {
			c.mu.Lock()
			open := c.pending[id] == requests[i]
			delete(c.pending, id)
			c.mu.Unlock()
			if open {
				c.answered()
			}
		}
		return nil, ended(err)
	}
	return requests, nil
}
