package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	userAgent = "pgp-defender-client/1"
	// Connecting answers within 10 seconds and the largest page takes less; a minute means that something is wrong.
	defaultTimeout = time.Minute
	maxErrorBody   = 64 << 10
	maxBody        = 64 << 20
)

// Client calls the API of one server with one credential, an API key or a token. It is safe for concurrent use.
//
// It makes each call once: it does not retry, because only the caller knows what may be repeated and how long it can wait. A
// Problem says with RetryAfter how long the server wants one to wait.
type Client struct {
	base      string
	key       string
	http      *http.Client
	userAgent string
	account   string // empty: the credential is for one tenant
	err       error  // of the base URL, reported by every call
}

// Option changes how a Client works.
type Option func(*Client)

// WithHTTPClient makes the client use h, for other time-outs, proxies or certificates. Without it, calls time out after a minute.
func WithHTTPClient(h *http.Client) Option {
	return func(c *Client) { c.http = h }
}

// WithAccount chooses the tenant, by its PGP account or its id, for tokens that are for several.
func WithAccount(account string) Option {
	return func(c *Client) { c.account = account }
}

// WithUserAgent puts product, such as "siem-export/2.1", in front of the client's own User-Agent.
func WithUserAgent(product string) Option {
	return func(c *Client) { c.userAgent = product + " " + userAgent }
}

// New returns a client of the server at baseURL, an absolute http or https URL without the "/v1". The key may be empty for
// operations that are open to everybody. A faulty URL is reported by the first call.
func New(baseURL, key string, opts ...Option) *Client {
	c := &Client{key: key, http: &http.Client{Timeout: defaultTimeout}, userAgent: userAgent}
	u, err := url.Parse(baseURL)
	switch {
	case err != nil:
		c.err = fmt.Errorf("api: base URL: %w", err)
	case (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.Fragment != "":
		c.err = errors.New("api: base URL must be an absolute http or https URL without query")
	default:
		c.base = strings.TrimSuffix(u.String(), "/")
	}
	for _, opt := range opts {
		opt(c)
	}
	return c
}

// Format keeps the key out of everything that is printed.
func (c *Client) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "api.Client(%s)", c.base) }

// RequestOption changes one request.
type RequestOption func(http.Header)

// IfMatch makes a request fail with CodePreconditionFailed if somebody changed the object since the tag was read.
func IfMatch(etag string) RequestOption {
	return func(h http.Header) { h.Set("If-Match", etag) }
}

// IfNoneMatch makes a read fail with ErrNotModified if the tag still holds.
func IfNoneMatch(etag string) RequestOption {
	return func(h http.Header) { h.Set("If-None-Match", etag) }
}

// IdempotencyKey lets a request be repeated without doing anything twice: for 24 hours the same request with the same key gets the
// same answer. Make a new key, such as a UUID, for each new request.
func IdempotencyKey(key string) RequestOption {
	return func(h http.Header) { h.Set("Idempotency-Key", key) }
}

// call is one request. Path segments that come from the caller are already escaped by the function path.
type call struct {
	method      string
	path        string
	query       query
	body        any
	contentType string // of body; application/json if empty
	options     []RequestOption
}

// do makes the call, decodes an answer with content into out unless out is nil, and returns the status.
func (c *Client) do(ctx context.Context, call call, out any) (int, error) {
	req, err := c.request(ctx, call)
	if err != nil {
		return 0, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, fmt.Errorf("api: %s %s: %w", call.method, call.path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	switch {
	case resp.StatusCode == http.StatusNotModified:
		return resp.StatusCode, ErrNotModified
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return resp.StatusCode, problemOf(resp)
	case out == nil || resp.StatusCode == http.StatusNoContent:
		return resp.StatusCode, nil
	}
	return resp.StatusCode, decode(resp, out)
}

func (c *Client) request(ctx context.Context, call call) (*http.Request, error) {
	if c.err != nil {
		return nil, c.err
	}
	if call.path == "" {
		return nil, errors.New("api: an id is empty")
	}
	target := c.base + call.path
	if q := call.query.Encode(); q != "" {
		target += "?" + q
	}
	var body io.Reader
	if call.body != nil {
		data, err := json.Marshal(call.body)
		if err != nil {
			return nil, fmt.Errorf("api: encode the request: %w", err)
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, call.method, target, body)
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	req.Header.Set("Accept", "application/json, application/problem+json")
	req.Header.Set("User-Agent", c.userAgent)
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
		if c.account != "" {
			req.Header.Set("account", c.account)
		}
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
		if call.contentType != "" {
			req.Header.Set("Content-Type", call.contentType)
		}
	}
	for _, option := range call.options {
		option(req.Header)
	}
	return req, nil
}

// path fills ids into a path such as "/v1/assets/%s/findings". It is empty if an id is, since that would name another resource.
func path(format string, ids ...string) string {
	escaped := make([]any, len(ids))
	for i, id := range ids {
		if id == "" {
			return ""
		}
		escaped[i] = url.PathEscape(id)
	}
	return fmt.Sprintf(format, escaped...)
}

func decode(resp *http.Response, out any) error {
	if raw, ok := out.(*[]byte); ok {
		data, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
		if err != nil {
			return fmt.Errorf("api: read the answer: %w", err)
		}
		if len(data) > maxBody {
			return unexpected(resp, "larger than 64 MiB")
		}
		*raw = data
		return nil
	}
	if mediaType(resp) != "application/json" {
		return unexpected(resp, "not JSON")
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxBody)).Decode(out); err != nil {
		return fmt.Errorf("api: decode the answer: %w", err)
	}
	return nil
}

// problemOf turns an answer that is no success into an error; it reads at most 64 KiB of it.
func problemOf(resp *http.Response) error {
	if mediaType(resp) != "application/problem+json" {
		return unexpected(resp, "no problem document")
	}
	var p Problem
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxErrorBody)).Decode(&p); err != nil {
		return unexpected(resp, "the problem document cannot be read")
	}
	// The status line is what happened; the document only repeats it.
	p.Status = resp.StatusCode
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
		p.RetryAfter = time.Duration(seconds) * time.Second
	}
	return &p
}

func mediaType(resp *http.Response) string {
	t, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return t
}

func unexpected(resp *http.Response, reason string) error {
	return &UnexpectedError{Status: resp.StatusCode, ContentType: resp.Header.Get("Content-Type"), Reason: reason}
}

// get reads one object without parameters.
func get[T any](ctx context.Context, c *Client, path string) (*T, error) {
	return send[T](ctx, c, call{method: http.MethodGet, path: path})
}

// send makes a call that answers with one object.
func send[T any](ctx context.Context, c *Client, call call) (*T, error) {
	out := new(T)
	if _, err := c.do(ctx, call, out); err != nil {
		return nil, err
	}
	return out, nil
}
