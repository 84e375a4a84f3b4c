package defender

import (
	"context"
	"io"
	"time"
)

const (
	chunkSize  = 64 << 10
	chunkCount = 4
)

// body reads an answer on a goroutine of its own, so that TLS and inflating overlap with decoding, and bounds it: in
// silence, in reading time and in size after inflating. At most chunkCount chunks are read ahead.
type body struct {
	full    chan []byte
	free    chan []byte
	done    chan struct{}
	stop    context.CancelCauseFunc
	failed  error // why reading ended; set before full is closed
	current []byte
	rest    []byte // of current, not handed over yet

	encoding string      // Content-Encoding it came in
	ids      *requestIDs // of the exchange it came with; nil for a page that was kept
	handed   int64
	maxToken int64 // for the decoder
}

// bodyLimits are the bounds of one body.
type bodyLimits struct {
	idle, call time.Duration
	size       int64 // decompressed
	value      int64 // of one JSON token
}

// newBody starts reading src. Cancelling by stop must make src's Read return.
func newBody(ctx context.Context, stop context.CancelCauseFunc, src io.Reader, limits bodyLimits) *body {
	b := &body{
		full: make(chan []byte, chunkCount), free: make(chan []byte, chunkCount), done: make(chan struct{}),
		stop: stop, maxToken: limits.value,
	}
	for range chunkCount {
		b.free <- nil // allocated on first use: most answers are short
	}
	go b.pump(ctx, src, limits)
	return b
}

func (b *body) pump(ctx context.Context, src io.Reader, limits bodyLimits) {
	defer close(b.done)
	defer close(b.full)
	// The watch runs only while a read is under way: a consumer that takes its time, because it is writing to a
	// database, does not make the source slow.
	watch := time.AfterFunc(limits.idle, func() { b.stop(errSilence) })
	watch.Stop()
	var size int64
	for left := limits.call; ; {
		chunk, ok := b.chunk(ctx)
		if !ok {
			b.failed = context.Cause(ctx)
			return
		}
		started := time.Now()
		watch.Reset(max(min(limits.idle, left), 0))
		n, err := src.Read(chunk)
		watch.Stop()
		left -= time.Since(started)
		size += int64(n)
		switch {
		case size > limits.size:
			b.failed = errTooLarge
			return
		case n > 0 && !b.send(ctx, chunk[:n]), err != nil && ctx.Err() != nil:
			b.failed = context.Cause(ctx)
			return
		case err != nil:
			b.failed = err
			return
		}
	}
}

func (b *body) chunk(ctx context.Context) ([]byte, bool) {
	select {
	case c := <-b.free:
		if c == nil {
			c = make([]byte, chunkSize)
		}
		return c, true
	case <-ctx.Done():
		return nil, false
	}
}

func (b *body) send(ctx context.Context, chunk []byte) bool {
	select {
	case b.full <- chunk:
		return true
	case <-ctx.Done():
		return false
	}
}

// Read implements io.Reader for the decoder.
func (b *body) Read(p []byte) (int, error) {
	if len(b.rest) == 0 {
		if b.current != nil {
			b.free <- b.current[:cap(b.current)] // has room for every chunk there is
			b.current = nil
		}
		chunk, ok := <-b.full
		if !ok {
			return 0, b.failed
		}
		b.current, b.rest = chunk, chunk
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	b.handed += int64(n)
	return n, nil
}

// end stops reading and waits until the goroutine is gone. It reports why reading ended; nil at the end of the body.
func (b *body) end() error {
	b.stop(nil)
	<-b.done
	if b.failed == io.EOF {
		return nil
	}
	return b.failed
}
