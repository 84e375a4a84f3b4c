package defender

import (
	"context"
	"errors"

	"pgp.internal/defender/internal/connector"
)

// KeepPages implements connector.Source.
func (s *source) KeepPages(l connector.PageLog) { s.log = l }

// begin opens a place for the next page in the log, if there is one.
func (w *walk) begin(ctx context.Context) connector.PageBody {
	if w.log == nil {
		return nil
	}
	kept, err := w.log.Begin(w.list)
	if err != nil {
		w.conn.cfg.Logger.WarnContext(ctx, "pages cannot be kept; an interrupted run will have to read the list again", "error", err)
		w.log = nil
		return nil
	}
	return kept
}

// replay goes through the pages that an interrupted attempt has kept. A page that cannot be read any more is asked for
// again; so are those behind it.
func (w *walk) replay(ctx context.Context) error {
	if w.log == nil {
		return nil
	}
	return w.log.Replay(w.list, func(kept connector.KeptPage) (bool, error) {
		usable, err := w.resume(ctx, kept)
		if err == nil && !usable {
			w.conn.cfg.Logger.WarnContext(ctx, "a kept page is damaged and is read again", "endpoint", w.endpoint, "page", w.page)
		}
		return usable, err
	})
}

// resume goes on with a kept page as with one that was asked for, or finds it unusable.
func (w *walk) resume(ctx context.Context, kept connector.KeptPage) (usable bool, err error) {
	if kept.Damaged {
		return false, nil
	}
	next, records, err := w.reread(ctx, kept)
	if err != nil && ctx.Err() != nil { // it broke off, whatever it looks like
		return false, context.Cause(ctx)
	}
	var damaged *failure
	if err != nil && !errors.As(err, &damaged) {
		return false, err
	}
	p, refused := w.check(next, records)
	if err != nil || next != kept.Next || refused != nil {
		return false, nil
	}
	if err := w.done(p); err != nil {
		return false, err
	}
	w.usage.resumed.Add(1)
	return true, nil
}

func (w *walk) reread(ctx context.Context, kept connector.KeptPage) (next string, records int, err error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	b := newBody(ctx, stop, inflated(kept.Body, kept.Encoding), w.limits(w.size))
	next, records, err = w.pages.read(b)
	_ = b.end() // a body need not go on behind the list
	return next, records, err
}

// forget gives up what was kept of a list that has to be read from its start.
func (w *walk) forget(ctx context.Context, err error) error {
	if w.log == nil || !errors.Is(err, connector.ErrSnapshotLost) {
		return err
	}
	if failed := w.log.Forget(w.list); failed != nil {
		w.conn.cfg.Logger.WarnContext(ctx, "kept pages could not be forgotten", "error", failed)
	}
	return err
}
