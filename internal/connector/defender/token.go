package defender

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/fault"
)

// renewBefore is how long before its expiry a token is replaced, so that none expires on its way.
const renewBefore = 5 * time.Minute

// token is an access token in memory; it is stored nowhere and printed nowhere.
type token struct {
	text   string
	issued time.Time
	renew  time.Time
	claims claims
	known  bool // the claims could be read
}

// tokens is a source's cache: any number of callers share one token and one request for it, also when it is refused for good.
type tokens struct {
	flight  singleflight.Group
	mu      sync.Mutex
	callers int                // that wait for the request under way
	abandon context.CancelFunc // ends it
	held    token
	refusal error // permanent; of the last request
	until   time.Time
	trust   atomic.Pointer[connector.Trust] // what the last federated request claimed to be
}

// token gives a token that is good for some minutes. A request for one outlives the caller that started it, within its
// own time limit, because others may be waiting for it; it ends when nobody does any more.
func (s *source) token(ctx context.Context) (token, error) {
	if t, ok, refusal := s.heldToken(); ok || refusal != nil {
		return t, refusal
	}
	s.tokens.wait()
	defer s.tokens.leave()
	for {
		result := s.tokens.flight.DoChan("", func() (any, error) { return s.sharedToken(ctx) })
		select {
		case r := <-result:
			switch {
			case errors.Is(r.Err, errAbandoned):
				continue // by those before
			case r.Err != nil:
				return token{}, r.Err
			}
			return r.Val.(token), nil
		case <-ctx.Done():
			return token{}, ctx.Err()
		}
	}
}

var errAbandoned = errors.New("nobody waits for the token any more")

// sharedToken makes the request for all who wait.
func (s *source) sharedToken(ctx context.Context) (any, error) {
	if t, ok, refusal := s.heldToken(); ok || refusal != nil {
		return t, refusal
	}
	cfg := s.conn.cfg
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Duration(cfg.Retry.Tries)*cfg.Timeouts.Token+cfg.Retry.MaxRetryAfter)
	defer cancel()
	if !s.tokens.begin(cancel) {
		return nil, errAbandoned
	}
	t, err := s.freshToken(ctx, cfg.Retry.Tries)
	switch {
	case err == nil:
		return t, nil
	case errors.Is(ctx.Err(), context.Canceled):
		return nil, errAbandoned
	case err == context.DeadlineExceeded: //nolint:errorlint // the request's own limit, which is none of those who wait
		slow := networkFailure(err)
		slow.retry = false // it has been repeated for as long as there was time
		return nil, slow
	}
	return nil, err
}

func (t *tokens) wait() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.callers++
}

// leave ends the request under way with its last caller: it may have to wait for long, and by then what it would be made with may be
// meant to be gone.
func (t *tokens) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.callers--; t.callers == 0 && t.abandon != nil {
		t.abandon()
	}
}

// begin notes how to end a request, and tells whether anybody waits for it.
func (t *tokens) begin(abandon context.CancelFunc) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.abandon = abandon
	return t.callers > 0
}

// refusalHolds is how long a permanent refusal stands for all callers of a source. A check asks anew in any case.
const refusalHolds = time.Minute

func (s *source) heldToken() (t token, ok bool, refusal error) {
	s.tokens.mu.Lock()
	defer s.tokens.mu.Unlock()
	now := s.conn.cfg.Clock()
	if s.tokens.refusal != nil && now.Before(s.tokens.until) {
		return token{}, false, s.tokens.refusal
	}
	return s.tokens.held, s.tokens.held.text != "" && now.Before(s.tokens.held.renew), nil
}

// holdRefusal remembers a refusal that asking again would not change.
func (s *source) holdRefusal(f *failure) {
	if !f.fault.Definition().Permanent {
		return
	}
	s.tokens.mu.Lock()
	defer s.tokens.mu.Unlock()
	s.tokens.refusal, s.tokens.until = f, s.conn.cfg.Clock().Add(refusalHolds)
}

// freshToken requests a token whatever is held, and holds it. Consent given a moment ago is only in new tokens.
func (s *source) freshToken(ctx context.Context, tries int) (token, error) {
	var t token
	err := s.repeat(ctx, EndpointToken, tries, func(ctx context.Context) error {
		var err error
		t, err = s.requestToken(ctx)
		return err
	})
	if err != nil {
		var f *failure
		if errors.As(err, &f) {
			s.conn.cfg.Observer.TokenFailure(f.fault.Code)
			s.holdRefusal(f)
		}
		return token{}, err
	}
	s.tokens.mu.Lock()
	defer s.tokens.mu.Unlock()
	s.tokens.held, s.tokens.refusal = t, nil
	return t, nil
}

// dropToken forgets a token that was refused, unless another caller has replaced it already.
func (s *source) dropToken(refused token) {
	s.tokens.mu.Lock()
	defer s.tokens.mu.Unlock()
	if s.tokens.held.text == refused.text {
		s.tokens.held = token{}
	}
}

// requestToken makes one token request by the client-credentials grant, version 2.0 of the endpoint.
func (s *source) requestToken(ctx context.Context) (token, error) {
	if !isGUID(s.credentials.DirectoryID) || !isGUID(s.credentials.ClientID) {
		// Nothing but a GUID is ever put into the path of a request.
		return token{}, &failure{fault: fault.New(fault.CodeDirectoryNotFound, "The stored Tenant ID or Client ID is no GUID."), origin: errNoToken}
	}
	p, err := s.take(ctx, EndpointToken)
	if err != nil {
		return token{}, err
	}
	grant, failed := s.grant() // now: what it proves the application with is good for minutes, and the wait may have been longer
	if failed != nil {
		s.unmade(ctx, p)
		return token{}, failed
	}
	named, ids := withRequestIDs(ctx)
	limited, cancel := context.WithTimeoutCause(named, s.conn.cfg.Timeouts.Token, errSlowBody)
	defer cancel()
	got, err := grant.Token(context.WithValue(limited, oauth2.HTTPClient, s.conn.tokens))
	if err != nil {
		return token{}, s.end(ctx, p, ids.told(s.tokenFailure(limited, err)))
	}
	_ = s.end(ctx, p, nil) // gives the call's error back
	s.usage.bytes.Add(int64(len(got.AccessToken)))
	return s.newToken(got), nil
}

// unknownLife is assumed for a token that does not say how long it lives.
const unknownLife = 2 * renewBefore

// newToken plans the renewal five minutes before the expiry, but not before half of a shorter life. The library reads
// expires_in as a number and as a numeric string, and gives the expiry by the system's clock.
func (s *source) newToken(got *oauth2.Token) token {
	life := unknownLife
	if !got.Expiry.IsZero() {
		life = time.Until(got.Expiry)
	}
	now := s.conn.cfg.Clock()
	t := token{text: got.AccessToken, issued: now, renew: now.Add(max(life-renewBefore, life/2))}
	t.claims, t.known = readClaims(got.AccessToken)
	return t
}

// tokenFailure never keeps the library's error: its text holds the body of the answer.
func (s *source) tokenFailure(ctx context.Context, err error) *failure {
	var answered *oauth2.RetrieveError
	var addressed *url.Error
	switch {
	case errors.As(err, &answered) && answered.Response != nil:
		status := answered.Response.StatusCode
		if status == http.StatusOK { // an error word in a success is a refusal all the same
			status = http.StatusBadRequest
		}
		return diagnose(loginAnswer(status, answered.Response.Header, answered.Body, s.conn.cfg.Clock()), s.subject(token{}))
	case ctx.Err() != nil:
		return networkFailure(context.Cause(ctx))
	case errors.As(err, &addressed):
		return networkFailure(err)
	}
	return malformed(errNoToken, "Microsoft Entra ID's answer to the token request could not be read.", true)
}

var errNoToken = errors.New("no token in the answer")
