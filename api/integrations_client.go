package api

import (
	"context"
	"iter"
	"net/http"
)

const integrationsPath = "/v1/integrations"

// ConnectIntegration checks the credentials live, stores them and queues the first run. A failed check is a Problem with Checks; nothing
// is stored then. Role: admin.
func (c *Client) ConnectIntegration(ctx context.Context, r ConnectRequest, options ...RequestOption) (*Integration, error) {
	return send[Integration](ctx, c, call{method: http.MethodPost, path: integrationsPath, body: r, options: options})
}

// PreviewIntegration makes the checks of ConnectIntegration and stores nothing. Role: admin.
func (c *Client) PreviewIntegration(ctx context.Context, r ConnectRequest) (*IntegrationPreview, error) {
	q := newQuery()
	q.text("validate_only", "true")
	return send[IntegrationPreview](ctx, c, call{method: http.MethodPost, path: integrationsPath, query: q, body: r})
}

// ListIntegrationsOptions filter integrations. The zero value leaves out only the disconnected ones.
type ListIntegrationsOptions struct {
	Type  []IntegrationTypeName
	State []IntegrationState
	PageOptions
}

// ListIntegrations reads one page of integrations, oldest first. Role: readonly.
func (c *Client) ListIntegrations(ctx context.Context, o ListIntegrationsOptions) (*Page[Integration], error) {
	q := newQuery()
	addAll(q, "type", o.Type)
	addAll(q, "state", o.State)
	q.page(o.PageOptions)
	return send[Page[Integration]](ctx, c, call{method: http.MethodGet, path: integrationsPath, query: q})
}

// AllIntegrations yields the integrations of all pages from o.Cursor on; an error ends it.
func (c *Client) AllIntegrations(ctx context.Context, o ListIntegrationsOptions) iter.Seq2[Integration, error] {
	return walk(o.Cursor, func(cursor string) (*Page[Integration], error) {
		o.Cursor = cursor
		return c.ListIntegrations(ctx, o)
	})
}

// GetIntegration reads an integration; with IfNoneMatch it may return ErrNotModified. Role: readonly.
func (c *Client) GetIntegration(ctx context.Context, id string, options ...RequestOption) (*Integration, error) {
	return send[Integration](ctx, c, call{method: http.MethodGet, path: path("/v1/integrations/%s", id), options: options})
}

// UpdateIntegration changes name, settings, schedule or the expiry of the secret; with IfMatch only if nobody else did since. Role: admin.
func (c *Client) UpdateIntegration(ctx context.Context, id string, p IntegrationPatch, options ...RequestOption) (*Integration, error) {
	return send[Integration](ctx, c, call{
		method: http.MethodPatch, path: path("/v1/integrations/%s", id),
		body: p, contentType: "application/merge-patch+json", options: options,
	})
}

// DataDisposal is what becomes of imported data on disconnecting.
type DataDisposal string

// DataRetain, the default, lets the data age out; DataPurge deletes them.
const (
	DataRetain DataDisposal = "retain"
	DataPurge  DataDisposal = "purge"
)

// DisconnectIntegration destroys the secret. For DataPurge it returns the run that deletes the data, otherwise nil. Role: admin.
func (c *Client) DisconnectIntegration(ctx context.Context, id string, data DataDisposal, options ...RequestOption) (*Run, error) {
	q := newQuery()
	q.text("data", string(data))
	var run Run
	status, err := c.do(ctx, call{method: http.MethodDelete, path: path("/v1/integrations/%s", id), query: q, options: options}, &run)
	if err != nil || status != http.StatusAccepted {
		return nil, err
	}
	return &run, nil
}

// RotateIntegrationSecret checks a new secret and then replaces the old one, or with Stage keeps it beside the old one until it
// works. Role: admin.
func (c *Client) RotateIntegrationSecret(ctx context.Context, id string, r RotateSecretRequest, options ...RequestOption) (*Integration, error) {
	return send[Integration](ctx, c, call{method: http.MethodPost, path: path("/v1/integrations/%s/rotate-secret", id), body: r, options: options})
}

// DropStagedSecret destroys what is staged; the secret in use stays. Role: admin.
func (c *Client) DropStagedSecret(ctx context.Context, id string, options ...RequestOption) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: path("/v1/integrations/%s/staged-secret", id), options: options}, nil)
	return err
}

// ValidateIntegration checks the stored credentials now. Failed checks are in the Validation, not an error. Role: analyst.
func (c *Client) ValidateIntegration(ctx context.Context, id string, options ...RequestOption) (*Validation, error) {
	return send[Validation](ctx, c, call{method: http.MethodPost, path: path("/v1/integrations/%s/validate", id), options: options})
}

// PauseIntegration stops further runs and, if cancelRun is set, the one under way. Role: admin.
func (c *Client) PauseIntegration(ctx context.Context, id string, cancelRun bool, options ...RequestOption) (*Integration, error) {
	q := newQuery()
	if cancelRun {
		q.text("cancel_run", "true")
	}
	return send[Integration](ctx, c, call{method: http.MethodPost, path: path("/v1/integrations/%s/pause", id), query: q, options: options})
}

// ResumeIntegration undoes PauseIntegration. Role: admin.
func (c *Client) ResumeIntegration(ctx context.Context, id string, options ...RequestOption) (*Integration, error) {
	return send[Integration](ctx, c, call{method: http.MethodPost, path: path("/v1/integrations/%s/resume", id), options: options})
}
