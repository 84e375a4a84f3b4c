package defender

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/fault"
)

// requestIDs find one exchange in Microsoft's records: the id that this service gave the request, and the one that
// Microsoft gave it. Every failure of an exchange tells them, because Microsoft's support asks for nothing else.
type requestIDs struct {
	client string
	sent   atomic.Bool // the request left, so that somebody at Microsoft can have met its id
	theirs atomic.Pointer[string]
}

type requestIDsKey struct{}

// withRequestIDs gives the one request that is made with the context an id.
func withRequestIDs(ctx context.Context) (context.Context, *requestIDs) {
	ids := &requestIDs{client: uuid.NewString()}
	ctx = context.WithValue(ctx, requestIDsKey{}, ids)
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { ids.sent.Store(true) }}), ids
}

// told adds to a failure's detail which request it was, but for ids that are in there already. Only a copy is changed:
// others may hold the failure.
func (i *requestIDs) told(err error) error {
	var f *failure
	var told *fault.Error
	switch {
	case i == nil || err == nil:
		return err
	case errors.As(err, &f):
		placed := *f
		placed.fault = i.named(f.fault)
		return &placed
	case errors.As(err, &told):
		return i.named(told)
	}
	return err
}

func (i *requestIDs) named(f *fault.Error) *fault.Error {
	var parts []string
	if theirs := i.theirs.Load(); theirs != nil && *theirs != "" && !strings.Contains(f.Detail, *theirs) {
		parts = append(parts, "Microsoft request id "+*theirs)
	}
	if i.sent.Load() && !strings.Contains(f.Detail, i.client) {
		parts = append(parts, "client request id "+i.client)
	}
	if len(parts) == 0 {
		return f
	}
	placed := *f
	text := strings.Join(parts, ", ")
	placed.Detail = strings.TrimSpace(f.Detail + " " + strings.ToUpper(text[:1]) + text[1:] + ".")
	return &placed
}

// nameRequests sends the id of a request along, under the names that Microsoft's APIs and its storage service know it
// by, and notes the one that the answer carries.
type nameRequests struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (n nameRequests) RoundTrip(r *http.Request) (*http.Response, error) {
	ids, ok := r.Context().Value(requestIDsKey{}).(*requestIDs)
	if !ok {
		return n.next.RoundTrip(r)
	}
	r = r.Clone(r.Context()) // a round tripper changes no request of its caller
	r.Header.Set("client-request-id", ids.client)
	r.Header.Set("return-client-request-id", "true")
	r.Header.Set("x-ms-client-request-id", ids.client)
	res, err := n.next.RoundTrip(r)
	if err == nil {
		theirs := cmp.Or(identifier(res.Header.Get("request-id")), identifier(res.Header.Get("x-ms-request-id")))
		ids.theirs.Store(&theirs)
	}
	return res, err
}
