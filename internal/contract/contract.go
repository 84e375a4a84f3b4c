// Package contract holds traffic and openapi.yaml together in tests.
//
// A Contract wraps the transport of an http.Client. Every exchange that passes through it must agree with the document in both directions: the answer
// must be documented, a request that the document forbids must not succeed, and one that it allows must not be refused as malformed. A
// Coverage notes which operations and statuses were seen.
package contract

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// TB is the part of testing.TB that is needed to report a breach.
type TB interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Contract reports breaches of the document to one test. It is safe for concurrent use while that test runs.
type Contract struct {
	tb       TB
	doc      *document
	coverage *Coverage
	allow400 []string
}

// Option changes what a Contract does.
type Option func(*Contract)

// RecordIn makes the Contract note in c what it sees, so that several tests share one record.
func RecordIn(c *Coverage) Option {
	return func(k *Contract) { k.coverage = c }
}

// Allow400 names further problem codes with which a request that the document allows may be refused as malformed. It is meant for rules
// that OpenAPI cannot express; invalid_cursor and account_required are such, and always allowed.
func Allow400(codes ...string) Option {
	return func(k *Contract) { k.allow400 = append(k.allow400, codes...) }
}

// loaded is parsed once for a test binary and never changed after.
var loaded = sync.OnceValues(loadTightened)

// New returns a Contract that reports to tb; it ends the test if the document is not valid.
func New(tb TB, opts ...Option) *Contract {
	tb.Helper()
	doc, err := loaded()
	if err != nil {
		tb.Fatalf("contract: %v", err)
	}
	k := &Contract{tb: tb, doc: doc, coverage: NewCoverage(), allow400: []string{"invalid_cursor", "account_required"}}
	for _, opt := range opts {
		opt(k)
	}
	return k
}

// Coverage returns the record of what was seen.
func (k *Contract) Coverage() *Coverage { return k.coverage }

// Transport returns a RoundTripper that sends through base, or connections of its own if base is nil, and checks what passes.
// It reads whole bodies before it hands them on.
func (k *Contract) Transport(base http.RoundTripper) http.RoundTripper {
	if base == nil {
		// Not the default transport: a test server that is closed breaks off what other tests just send through that.
		base = &http.Transport{}
	}
	return transport{contract: k, base: base}
}

type transport struct {
	contract *Contract
	base     http.RoundTripper
}

// exchange is a request and its answer with both bodies read.
type exchange struct {
	request  *http.Request // its body can be read from sent
	sent     []byte
	status   int
	header   http.Header
	received []byte
	route    *routers.Route // nil if the document has no such operation
	params   map[string]string
}

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(req *http.Request) (*http.Response, error) {
	sent, err := drain(req.Body)
	if err != nil {
		return nil, err
	}
	resp, err := t.base.RoundTrip(withBody(req, sent))
	if err != nil {
		return nil, err
	}
	received, err := drain(resp.Body)
	if err != nil {
		resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(received), failing{err}))
		return resp, nil // The caller learns of it where it would have anyway; half an answer cannot be checked.
	}
	resp.Body = io.NopCloser(bytes.NewReader(received))
	t.contract.check(&exchange{request: withBody(req, sent), sent: sent, status: resp.StatusCode, header: resp.Header, received: received})
	return resp, nil
}

func (k *Contract) check(x *exchange) {
	k.tb.Helper()
	var breaches []error
	var err error
	if x.route, x.params, err = k.doc.router.FindRoute(x.request); err != nil {
		x.route = nil
		breaches = append(breaches, k.checkUnrouted(x))
	} else {
		k.coverage.record(x.route.Operation.OperationID, x.status)
		breaches = append(breaches, k.checkOutcome(x), k.checkResponse(x))
	}
	breaches = append(breaches, checkConventions(x))
	if err := errors.Join(breaches...); err != nil {
		k.tb.Errorf("contract: %s %s -> %d: %v", x.request.Method, x.request.URL.RequestURI(), x.status, err)
	}
}

// checkOutcome compares what the document says about the request with what the server made of it.
func (k *Contract) checkOutcome(x *exchange) error {
	forbidden := k.doc.checkRequest(x)
	switch {
	case forbidden != nil && x.status < 400:
		return errors.Join(errors.New("the document forbids this request, the server accepted it"), forbidden)
	case forbidden == nil && x.status == http.StatusBadRequest && !slices.Contains(k.allow400, codeOf(x.received)):
		return errors.New("the document allows this request, the server calls it malformed: " + string(x.received))
	}
	return nil
}

// everywhere are the statuses that the introduction of the document grants to every operation.
var everywhere = map[int]bool{http.StatusRequestEntityTooLarge: true, http.StatusRequestURITooLong: true}

func (k *Contract) checkResponse(x *exchange) error {
	if everywhere[x.status] && x.route.Operation.Responses.Status(x.status) == nil {
		return k.doc.matchComponent("Problem", x.received)
	}
	if k.doc.isHTML(x.route, x.status) {
		return checkHTML(x)
	}
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: k.doc.input(x),
		Status:                 x.status,
		Header:                 x.header,
		Body:                   io.NopCloser(bytes.NewReader(x.received)),
		Options: &openapi3filter.Options{
			IncludeResponseStatus:   true,
			SchemaValidationOptions: k.doc.responseFormats,
		},
	}
	return errors.Join(k.doc.checkStatus(x), openapi3filter.ValidateResponse(x.request.Context(), input))
}

// checkUnrouted checks the answer to what the document does not know: 404, or 405 with Allow if the path has other methods.
func (k *Contract) checkUnrouted(x *exchange) error {
	switch {
	case x.status == http.StatusMethodNotAllowed && x.header.Get("Allow") == "":
		return errors.New("405 without Allow")
	case x.status != http.StatusNotFound && x.status != http.StatusMethodNotAllowed:
		return errors.New("the document has no such operation, so 404 or 405 is due")
	}
	return k.doc.matchComponent("Problem", x.received)
}

func drain(body io.ReadCloser) ([]byte, error) {
	if body == nil {
		return nil, nil
	}
	data, err := io.ReadAll(body)
	return data, errors.Join(err, body.Close())
}

// withBody returns a copy of req that reads body, since a RoundTripper must leave its request alone.
func withBody(req *http.Request, body []byte) *http.Request {
	out := req.Clone(req.Context())
	out.Body, out.GetBody, out.ContentLength = http.NoBody, nil, int64(len(body))
	if len(body) > 0 {
		out.Body = io.NopCloser(bytes.NewReader(body))
	}
	return out
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// Operations returns the operation ids of the document in alphabetical order.
func Operations() ([]string, error) {
	doc, err := loaded()
	if err != nil {
		return nil, err
	}
	var ids []string
	doc.each(func(_, _ string, op *openapi3.Operation) { ids = append(ids, op.OperationID) })
	slices.Sort(ids)
	return ids, nil
}
