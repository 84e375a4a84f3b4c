package api

import (
	"context"
	"net/http"
)

// Version is what is running.
type Version struct {
	Version  string `json:"version"`
	Revision string `json:"revision"`
	API      string `json:"api"`
}

// ProblemType is what a code means and what to do about it. Status is 0 for codes that only
// explain what a run did.
type ProblemType struct {
	Code      string `json:"code"`
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status,omitempty"`
	Detail    string `json:"detail"`
	Cause     string `json:"cause,omitempty"`
	Remedy    string `json:"remedy"`
	Acts      Actor  `json:"acts"`
	Retryable bool   `json:"retryable"`
}

// GetVersion tells what is running. Open to everybody.
func (c *Client) GetVersion(ctx context.Context) (*Version, error) {
	return get[Version](ctx, c, "/v1/version")
}

// GetOpenAPI reads the OpenAPI document as JSON. Open to everybody.
func (c *Client) GetOpenAPI(ctx context.Context) ([]byte, error) {
	return c.raw(ctx, "/openapi.json")
}

// GetDocs reads the documentation page as HTML. Open to everybody.
func (c *Client) GetDocs(ctx context.Context) ([]byte, error) {
	return c.raw(ctx, "/docs")
}

// ListProblemTypes lists every code and what to do about it. Open to everybody.
func (c *Client) ListProblemTypes(ctx context.Context) ([]ProblemType, error) {
	var out list[ProblemType]
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/problems"}, &out)
	return out.Items, err
}

// GetProblemType reads what a code means. Open to everybody.
func (c *Client) GetProblemType(ctx context.Context, code string) (*ProblemType, error) {
	return get[ProblemType](ctx, c, path("/problems/%s", code))
}

func (c *Client) raw(ctx context.Context, path string) ([]byte, error) {
	var out []byte
	_, err := c.do(ctx, call{method: http.MethodGet, path: path}, &out)
	return out, err
}
