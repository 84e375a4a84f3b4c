package defender

import (
	"bytes"
	stdgzip "compress/gzip"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"

	"pgp.internal/defender/internal/inventory"
)

// zipped is an answer whose body was compressed and then changed.
func zipped(t testing.TB, text []byte, change func([]byte) []byte) io.Reader {
	t.Helper()
	var b bytes.Buffer
	w := stdgzip.NewWriter(&b)
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return bytes.NewReader(change(b.Bytes()))
}

func TestBodiesAreInflated(t *testing.T) {
	t.Parallel()
	text := samplePage(t, 400, "")
	for name, tc := range map[string]struct {
		change func([]byte) []byte
		want   error
	}{
		"whole":    {func(b []byte) []byte { return b }, nil},
		"cut":      {func(b []byte) []byte { return b[:len(b)-9] }, io.ErrUnexpectedEOF},
		"checksum": {func(b []byte) []byte { b[len(b)-8] ^= 1; return b }, gzip.ErrChecksum},
		"no gzip":  {func([]byte) []byte { return []byte(`{"value":[]}`) }, gzip.ErrHeader},
	} {
		b := bodyOf(t, inflated(zipped(t, text, tc.change), "GZip"))
		got, err := io.ReadAll(b)
		if ended := b.end(); !errors.Is(err, tc.want) || !errors.Is(ended, tc.want) {
			t.Errorf("%s: %v, %v", name, err, ended)
		}
		if tc.want == nil && !bytes.Equal(got, text) {
			t.Errorf("%s: %d bytes instead of %d", name, len(got), len(text))
		}
	}
	empty := zipped(t, nil, func([]byte) []byte { return nil })
	if got, err := io.ReadAll(inflated(empty, "GZIP")); err != nil || len(got) != 0 {
		t.Errorf("empty: %q, %v", got, err)
	}
	if got, err := io.ReadAll(inflated(bytes.NewReader(text), "")); err != nil || !bytes.Equal(got, text) {
		t.Errorf("not compressed: %d bytes, %v", len(got), err)
	}
}

// stuck hands out a byte and then blocks until its context ends, as a connection does.
type stuck struct {
	ctx    context.Context
	first  bool
	inside chan struct{}
}

func (s *stuck) Read(p []byte) (int, error) {
	if !s.first {
		s.first = true
		return copy(p, "x"), nil
	}
	close(s.inside)
	<-s.ctx.Done()
	return 0, context.Cause(s.ctx)
}

// endless always has more.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestNoGoroutineOutlivesItsBody(t *testing.T) {
	t.Parallel()
	limits := bodyLimits{idle: time.Minute, call: time.Minute, size: 1 << 40, value: 1 << 20}
	gone, inside := errors.New("gone"), make(chan struct{})
	for name, tc := range map[string]struct {
		src  func(context.Context) io.Reader
		act  func(*testing.T, *body, context.CancelCauseFunc)
		want error
	}{
		"nobody reads": {func(context.Context) io.Reader { return endless{} }, func(*testing.T, *body, context.CancelCauseFunc) {}, context.Canceled},
		"left early": {func(context.Context) io.Reader { return endless{} }, func(t *testing.T, b *body, _ context.CancelCauseFunc) {
			if _, err := io.ReadFull(b, make([]byte, 10*chunkSize)); err != nil {
				t.Error(err)
			}
		}, context.Canceled},
		"cancelled in a read": {func(ctx context.Context) io.Reader { return &stuck{ctx: ctx, inside: inside} },
			func(t *testing.T, b *body, stop context.CancelCauseFunc) {
				<-inside
				stop(gone)
				if got, err := io.ReadAll(b); err != gone || len(got) > 1 {
					t.Errorf("%q, %v", got, err)
				}
			}, gone},
	} {
		ctx, stop := context.WithCancelCause(context.Background())
		b := newBody(ctx, stop, tc.src(ctx), limits)
		tc.act(t, b, stop)
		if err := b.end(); err != tc.want {
			t.Errorf("%s: %v", name, err)
		}
		select {
		case <-b.done: // closed by the goroutine as its last act
		default:
			t.Errorf("%s: still reading", name)
		}
	}
}

func TestWhatCameBeforeAnErrorIsDelivered(t *testing.T) {
	t.Parallel()
	gone := errors.New("gone")
	b := bodyOf(t, io.MultiReader(bytes.NewReader(make([]byte, 3*chunkSize+5)), failing{gone}))
	if got, err := io.ReadAll(b); err != gone || len(got) != 3*chunkSize+5 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func BenchmarkCompressedRows(b *testing.B) {
	const rows = 50_000
	page := samplePage(b, rows, "")
	var z bytes.Buffer
	w, _ := stdgzip.NewWriterLevel(&z, stdgzip.BestSpeed)
	_, _ = w.Write(page)
	_ = w.Close()
	p := newRowPages(1000, func([]inventory.Row) error { return nil })
	defer func() { _ = p.relay.end() }()
	b.SetBytes(int64(len(page)))
	b.ReportAllocs()
	for b.Loop() {
		if _, n, err := p.read(bodyOf(b, &gunzip{src: bytes.NewReader(z.Bytes())})); err != nil || n != rows {
			b.Fatal(n, err)
		}
		if err := p.commit(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(rows*b.N)/b.Elapsed().Seconds(), "rows/s")
}
