package defendersim

import (
	"compress/flate"
	"compress/gzip"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
)

// encoder is what gzip and flate writers have in common.
type encoder interface {
	io.WriteCloser
	Reset(io.Writer)
}

// Encoders are large, so they are used again. The errors of the constructors concern the level only.
var (
	gzips  = sync.Pool{New: func() any { e, _ := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed); return e }}
	flates = sync.Pool{New: func() any { e, _ := flate.NewWriter(io.Discard, flate.BestSpeed); return e }}
)

// compressor is a response whose body may be compressed. The API prefers deflate when offered and then sends raw
// DEFLATE data without the zlib header.
type compressor struct {
	http.ResponseWriter
	enc  encoder // nil when the body is sent as it is
	pool *sync.Pool
}

func compress(w http.ResponseWriter, r *http.Request) *compressor {
	c := &compressor{ResponseWriter: w}
	offered := strings.ToLower(r.Header.Get("Accept-Encoding"))
	switch {
	case strings.Contains(offered, "deflate"):
		c.use(&flates, "deflate")
	case strings.Contains(offered, "gzip"):
		c.use(&gzips, "gzip")
	}
	return c
}

func (c *compressor) use(pool *sync.Pool, name string) {
	c.pool, c.enc = pool, pool.Get().(encoder)
	c.enc.Reset(c.ResponseWriter)
	c.Header().Set("Content-Encoding", name)
}

func (c *compressor) Write(p []byte) (int, error) {
	if c.enc == nil {
		return c.ResponseWriter.Write(p)
	}
	enc := c.enc
	c.enc = nil // a fault that breaks the response off in here leaves none that could be closed
	n, err := enc.Write(p)
	c.enc = enc
	return n, err
}

func (c *compressor) finish(log *slog.Logger) {
	if c.enc == nil {
		return
	}
	if err := c.enc.Close(); err != nil {
		log.Debug("response not finished", "error", err)
	}
	c.discard()
}

// discard gives the encoder back; what is written from now on is sent as it is.
func (c *compressor) discard() {
	if c.enc == nil {
		return
	}
	c.enc.Reset(io.Discard)
	c.pool.Put(c.enc)
	c.enc = nil
}
