package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
)

// linesType is the media type of one JSON document a line. A caller who accepts it gets a whole list in one answer.
const linesType = "application/x-ndjson"

const (
	// streamBudget is how long such an answer may take in all: ten million findings need some minutes.
	streamBudget = time.Hour
	// allowedFor is how long a credential counts as good without being looked at again.
	allowedFor = 5 * time.Second
	// lineBuffer is how much is written at once.
	lineBuffer = 64 << 10
)

// lines writes an answer of one document a line. The status goes out with the first bytes, so an error after them can
// only cut the answer off. The transfer is then incomplete, which a proxy or a pipe may hide from the reader; so the last
// line says that it is the last.
type lines struct {
	w       http.ResponseWriter
	control *http.ResponseController
	buf     bytes.Buffer
	encoder *json.Encoder
	pace    pace
	behind  time.Duration // how far the reader is behind its pace
	count   int64         // of the lines added
	begun   bool
	lost    bool         // the reader takes nothing any more
	allowed func() error // whether the reader may have more; nil: without end
}

func newLines(w http.ResponseWriter, p pace) *lines {
	l := &lines{w: w, control: http.NewResponseController(w), pace: p}
	l.encoder = json.NewEncoder(&l.buf)
	l.encoder.SetEscapeHTML(false)
	return l
}

// answerLines lets produce write, and ends the answer. Parameters of pages make no sense here and are refused.
func (s *server) answerLines(w http.ResponseWriter, r *http.Request, p *params, produce func(context.Context, *lines) error) error {
	for _, name := range []string{"sort", "limit", "cursor"} {
		if p.values.Has(name) {
			p.refuse(name, "not_applicable", "Must be left out when the whole list is asked for as %s", linesType)
		}
	}
	if err := p.err(); err != nil {
		return err
	}
	release, err := s.streams.take(caller(r))
	if err != nil {
		return err
	}
	defer release()
	l := newLines(w, streamPace)
	l.allowed = s.stillAllowed(r)
	err = l.run(r.Context(), produce)
	if err != nil && l.begun {
		x := exchangeOf(r.Context())
		x.gone = l.lost || errors.Is(r.Context().Err(), context.Canceled)
		switch f := fault.As(err); {
		case x.gone:
		case f.Kind() == fault.Unauthenticated || f.Kind() == fault.Forbidden:
			x.code = f.Code
		default:
			x.hidden = err
		}
		panic(http.ErrAbortHandler)
	}
	return err
}

// stillAllowed asks every few seconds whether the credential is still good and for the same tenant: it may be revoked or expire, and the
// tenant be suspended, long before the list ends. Nobody can tell while the database is away, so that ends the list as well.
func (s *server) stillAllowed(r *http.Request) func() error {
	owner, asked := caller(r), s.Now()
	return func() error {
		if s.Now().Sub(asked) < allowedFor {
			return nil
		}
		ctx, cancel := context.WithTimeout(r.Context(), usualBudget)
		defer cancel()
		p, err := s.principal(r.WithContext(ctx))
		if err == nil && p.Tenant != owner { // its name belongs to another one now
			err = errNotYourTenant()
		}
		asked = s.Now()
		return err
	}
}

// run turns a panic into an error like any other: a problem document must not end up at the end of a list.
func (l *lines) run(ctx context.Context, produce func(context.Context, *lines) error) (err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("panic: %v\n%s", reason, debug.Stack())
		}
	}()
	if err := produce(ctx, l); err != nil {
		return err
	}
	if err := l.encoder.Encode(api.ListEnd{End: true, Count: l.count}); err != nil {
		return err
	}
	return l.flush()
}

func (l *lines) add(v any) error {
	l.count++
	if err := l.write(v); err != nil || l.buf.Len() < lineBuffer {
		return err
	}
	return l.flush()
}

func (l *lines) write(v any) error {
	fast, ok := v.(appender)
	if !ok {
		return l.encoder.Encode(v)
	}
	line, err := fast.AppendJSON(l.buf.AvailableBuffer())
	if err == nil {
		l.buf.Write(append(line, '\n'))
	}
	return err
}

// flush sends what is there. Whoever does not keep the pace is cut off, and so is who may not have it any more.
func (l *lines) flush() error {
	if l.allowed != nil {
		if err := l.allowed(); err != nil {
			return err
		}
	}
	if !l.begun {
		l.begun = true
		l.w.Header().Set("Content-Type", linesType)
		l.w.WriteHeader(http.StatusOK)
	}
	began := time.Now()
	if err := l.control.SetWriteDeadline(began.Add(l.pace.patience(l.behind))); err != nil {
		return err
	}
	n, err := l.w.Write(l.buf.Bytes())
	l.behind = l.pace.after(l.behind, n, time.Since(began))
	l.buf.Reset()
	l.lost = err != nil
	return err
}

// addAll converts and adds a batch.
func addAll[D, W any](l *lines, items []D, convert func(*D) W) error {
	for i := range items {
		if err := l.add(convert(&items[i])); err != nil {
			return err
		}
	}
	return nil
}

// eachPage walks a list that is read page by page, one after the other, along a key that records keep: along another one a record that changes
// meanwhile may come twice, or be missing though it was there all the time. An empty key is that of a list in its one order.
func eachPage[D any](ctx context.Context, key string, list func(context.Context, inventory.PageRequest) ([]D, inventory.Position, error), take func([]D) error) error {
	page := inventory.PageRequest{Limit: maxLimit, Sort: inventory.Sort{Key: key}}
	for {
		items, end, err := list(ctx, page)
		if err != nil {
			return err
		}
		if err := take(items); err != nil || end == nil {
			return err
		}
		page.After = end
	}
}
