package defender

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"pgp.internal/defender/internal/connector"
)

// consumer reads the body of a 200. Its error is either a *failure, or one of its own caller's that ends the walk.
type consumer func(*body) error

// call is one address of the API to be read.
type call struct {
	endpoint Endpoint
	address  string
	size     int64              // most bytes of the body, decompressed
	file     bool               // an export file: compressed, whatever the header says
	kept     connector.PageBody // takes in the body as it comes, unless nil
	consume  consumer
}

// get reads one address of the API. A 401 makes it renew the token and try once more, which is a repeat like any: a token may be
// revoked, or be one that was issued before the service knew of it. With one that is not new it tries in any case, because the answer proves
// nothing about the credentials.
func (s *source) get(ctx context.Context, c call) error {
	if _, err := s.token(ctx); err != nil { // first, so that leave for the call need not wait for it
		return err
	}
	t, err := s.exchange(ctx, c)
	var f *failure
	if t.text == "" || !errors.As(err, &f) || f.status != http.StatusUnauthorized {
		return err
	}
	s.dropToken(t)
	switch allowed, failed := s.byBudget(c.endpoint)(ctx, f); {
	case failed != nil:
		return failed
	case !allowed && s.conn.cfg.Clock().Sub(t.issued) < tokenIsNew:
		return err
	case !allowed:
		s.usage.retries.Add(1)
	}
	if _, err = s.token(ctx); err != nil {
		return err
	}
	_, err = s.exchange(ctx, c)
	return err
}

// tokenIsNew is for how long a token is taken to be as good as it was when it was issued.
const tokenIsNew = time.Minute

// exchange makes one HTTP call and hands a 200 to the call's consumer. It tells with which token; without one nothing was called.
func (s *source) exchange(ctx context.Context, c call) (token, error) {
	p, t, err := s.takeWithToken(ctx, c.endpoint)
	if err != nil {
		return t, err
	}
	return t, s.send(ctx, c, p, t)
}

// send makes a call that was taken.
func (s *source) send(ctx context.Context, c call, p pending, t token) error {
	ctx, ids := withRequestIDs(ctx)
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.address, nil)
	if err != nil {
		s.unmade(ctx, p)
		return malformed(errBadAddress, "An address of the Microsoft Defender API could not be formed.", false)
	}
	req.Header.Set("Authorization", "Bearer "+t.text)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Accept-Encoding", acceptEncoding)
	res, err := s.conn.client.Do(req)
	if err != nil {
		return s.end(ctx, p, ids.told(networkFailure(err)))
	}
	defer res.Body.Close() //nolint:errcheck // read-only
	if res.StatusCode != http.StatusOK {
		return s.end(ctx, p, ids.told(s.refusal(c.endpoint, res, newBody(ctx, stop, c.plain(res), s.limits(maxErrorBody)), t)))
	}
	b := newBody(ctx, stop, c.plain(res), s.limits(c.size))
	b.encoding, b.ids = res.Header.Get("Content-Encoding"), ids
	return s.end(ctx, p, ids.told(s.consume(b, c.consume)))
}

// plain is an answer's body as it was before it was compressed; on its way the page is kept as it came.
func (c call) plain(res *http.Response) io.Reader {
	from := io.Reader(res.Body)
	if c.kept != nil && res.StatusCode == http.StatusOK {
		c.kept.Again()
		from = io.TeeReader(from, c.kept)
	}
	if c.file {
		return inflated(from, "gzip")
	}
	return inflated(from, res.Header.Get("Content-Encoding"))
}

var errBadAddress = errors.New("address cannot be parsed")

func (s *source) limits(size int64) bodyLimits {
	t := s.conn.cfg.Timeouts
	return bodyLimits{idle: t.Idle, call: t.Call, size: size, value: int64(s.conn.cfg.Pages.MaxValueBytes)}
}

// refusal reads what there is of an error's body; a body that is cut off or too long counts as none.
func (s *source) refusal(e Endpoint, res *http.Response, b *body, t token) *failure {
	text, err := io.ReadAll(b)
	if ended := b.end(); err != nil || ended != nil {
		text = []byte("unreadable") // not empty: an empty body is a readable answer
	}
	return diagnose(apiAnswer(e, res.StatusCode, res.Header, text, s.conn.cfg.Clock()), s.subject(t))
}

// consume runs the consumer and counts what it read. When both the consumer and the transport failed, the transport is
// the reason.
func (s *source) consume(b *body, consume consumer) error {
	err := consume(b)
	handed := b.handed
	ended := b.end()
	s.usage.bytes.Add(handed)
	var own *failure
	if err == nil || !errors.As(err, &own) || own.outcome != OutcomeMalformed {
		return err
	}
	switch {
	case errors.Is(own.origin, errTooLarge) || errors.Is(ended, errTooLarge):
		return malformed(errTooLarge, "Microsoft's answer is larger than this service accepts.", false)
	case ended != nil && !errors.Is(ended, context.Canceled):
		return networkFailure(ended)
	case errors.Is(own.origin, io.ErrUnexpectedEOF):
		return networkFailure(io.ErrUnexpectedEOF)
	}
	return err
}

func outcomeOfError(err error) Outcome {
	var f *failure
	switch {
	case err == nil:
		return OutcomeOK
	case errors.As(err, &f):
		return f.outcome
	}
	return OutcomeCancelled
}
