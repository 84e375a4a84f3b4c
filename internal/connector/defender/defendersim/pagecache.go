package defendersim

import (
	"bytes"
	"net/http"
	"sync"

	"pgp.internal/defender/internal/connector/defender/defendersim/world"
)

// pageCache keeps pages and files of the export as they were sent, compressed, so that sending one again costs no work: measuring
// a client, the simulator must not be what is measured. A nil cache keeps nothing.
type pageCache struct {
	limit int64 // bytes

	mu    sync.Mutex
	size  int64
	pages map[pageKey][]byte
}

// pageKey is all that a page depends on. A state never changes; the version stands in the links to the next pages. Of a file, version and size
// are the part and of how many.
type pageKey struct {
	state              *world.State
	version, size      int
	at                 world.Cursor
	base, path, coding string
}

func newPageCache(limit int64) *pageCache {
	if limit <= 0 {
		return nil
	}
	return &pageCache{limit: limit, pages: map[pageKey][]byte{}}
}

func (p *pageCache) get(key pageKey) ([]byte, bool) {
	if p == nil {
		return nil, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	page, ok := p.pages[key]
	return page, ok
}

// put keeps a page. When there is no room, the pages of other states go first, and then all.
func (p *pageCache) put(key pageKey, page []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	need := int64(len(page))
	if _, ok := p.pages[key]; ok || need > p.limit {
		return
	}
	for _, all := range [...]bool{false, true} {
		if p.size+need <= p.limit {
			break
		}
		p.drop(func(k pageKey) bool { return all || k.state != key.state })
	}
	p.pages[key] = page
	p.size += need
}

func (p *pageCache) drop(which func(pageKey) bool) {
	for key, page := range p.pages {
		if which(key) {
			delete(p.pages, key)
			p.size -= int64(len(page))
		}
	}
}

// recorded is a response whose body is also kept.
type recorded struct {
	http.ResponseWriter
	kept bytes.Buffer
	err  error
}

func (r *recorded) Write(p []byte) (int, error) {
	r.kept.Write(p)
	n, err := r.ResponseWriter.Write(p)
	if err != nil {
		r.err = err
	}
	return n, err
}

// replay answers with a body that is encoded already.
func (c *compressor) replay(body []byte) {
	c.discard()
	_, _ = c.ResponseWriter.Write(body) // an error means that the client has gone
}

// record makes the compressor keep what it sends; the returned function ends the answer and gives what was sent, or
// false when the client went before the end.
func (c *compressor) record() (finish func() ([]byte, bool)) {
	r := &recorded{ResponseWriter: c.ResponseWriter}
	if c.enc == nil {
		c.ResponseWriter = r
		return func() ([]byte, bool) { return r.kept.Bytes(), r.err == nil }
	}
	c.enc.Reset(r)
	return func() ([]byte, bool) {
		err := c.enc.Close()
		c.discard()
		return r.kept.Bytes(), err == nil && r.err == nil
	}
}
