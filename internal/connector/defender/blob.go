package defender

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"pgp.internal/defender/internal/fault"
)

// checkBlob lets only addresses of Microsoft's storage service through: nothing is sent to any other.
func (c *Connector) checkBlob(address string) error {
	u, err := url.Parse(address)
	if err == nil && u.User == nil && u.Fragment == "" && u.Opaque == "" && (u.Scheme == "https" || u.Scheme == "http" && c.cfg.AllowInsecure) {
		host := canonicalHost(u)
		for _, suffix := range c.blobs {
			if strings.HasSuffix(host, suffix) && len(host) > len(suffix) {
				return nil
			}
		}
		if c.cfg.AllowInsecure && c.hosts[host] {
			return nil // a simulator serves both
		}
	}
	e := fault.New(fault.CodeUpstreamUnexpected, "Microsoft's answer names an export file outside its storage service; it was not asked for.")
	e.Remedy = "Try again; if it persists, the operator checks the configured API host and the outbound network."
	return e
}

var (
	errExpired   = errors.New("the address of the file is not good any more")
	errEmptyFile = errors.New("the file is empty: it has not been copied yet")
)

// fetchBlob makes the call. Microsoft's storage service answers a signature that has run out with 403, and gives no byte of a
// file that is still being copied.
func (s *source) fetchBlob(ctx context.Context, c call) error {
	ctx, ids := withRequestIDs(ctx)
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.address, nil)
	if err != nil {
		return malformed(errBadAddress, "An address of an export file could not be formed.", false)
	}
	req.Header.Set("Accept-Encoding", "identity")
	s.usage.calls.Add(1)
	started := time.Now()
	err = ids.told(s.blobAnswer(ctx, stop, c, req))
	s.conn.cfg.Observer.Call(c.endpoint, outcomeOfError(err), time.Since(started))
	return err
}

func (s *source) blobAnswer(ctx context.Context, stop context.CancelCauseFunc, c call, req *http.Request) error {
	res, err := s.conn.client.Do(req)
	if err != nil {
		return networkFailure(err)
	}
	defer res.Body.Close() //nolint:errcheck // read-only
	switch {
	case res.StatusCode == http.StatusForbidden:
		return &failure{outcome: OutcomeRefused, status: res.StatusCode, origin: errExpired,
			fault: fault.Wrap(errExpired, fault.CodeUpstreamUnavailable, "Microsoft's storage service does not give an export file out.")}
	case res.StatusCode != http.StatusOK:
		f := fault.Newf(fault.CodeUpstreamUnavailable, "Microsoft's storage service answered the request for an export file with status %d.", res.StatusCode)
		return &failure{fault: f, outcome: outcomeOf(res.StatusCode), status: res.StatusCode, origin: f, retry: res.StatusCode >= 500 || res.StatusCode == http.StatusTooManyRequests}
	case res.ContentLength == 0 || strings.EqualFold(res.Header.Get("x-ms-copy-status"), "pending"):
		f := fault.Wrap(errEmptyFile, fault.CodeUpstreamUnavailable, "An export file has not been copied to Microsoft's storage service yet.")
		f.RetryAfter = s.conn.cfg.Retry.ThrottleBase
		return &failure{fault: f, outcome: OutcomeMalformed, status: res.StatusCode, origin: errEmptyFile, retry: true}
	}
	b := newBody(ctx, stop, c.plain(res), s.limits(c.size))
	b.encoding = "gzip"
	return s.consume(b, c.consume)
}
