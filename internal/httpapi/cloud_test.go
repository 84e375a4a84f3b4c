package httpapi_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/tenant"
)

// cloud stands in for Microsoft. Form and shape of credentials are the real connector's; what the live checks find is
// scripted.
type cloud struct {
	*defender.Connector

	mu      sync.Mutex
	outcome func(connector.Credentials) []connector.Check
	secrets []string // that checks were made with
}

func newCloud(t *testing.T) *cloud {
	t.Helper()
	c, err := defender.New(defender.Config{Budget: defender.Unlimited{}})
	if err != nil {
		t.Fatal(err)
	}
	return &cloud{Connector: c}
}

// answers scripts the checks; nil makes all of them pass.
func (c *cloud) answers(outcome func(connector.Credentials) []connector.Check) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.outcome = outcome
}

func (c *cloud) fails(code string) {
	c.answers(func(connector.Credentials) []connector.Check {
		return []connector.Check{{Name: "token", Code: code, Title: fault.New(code, "").Title()}, {Name: "permissions", Skipped: true}}
	})
}

func (c *cloud) Open(creds connector.Credentials) connector.Source {
	return &directory{cloud: c, creds: creds}
}

// directory is an opened link of the double. The API only ever checks one.
type directory struct {
	connector.Source
	cloud *cloud
	creds connector.Credentials
}

func (d *directory) Check(context.Context, connector.Probe) []connector.Check {
	d.cloud.mu.Lock()
	defer d.cloud.mu.Unlock()
	d.cloud.secrets = append(d.cloud.secrets, d.creds.Secret.Reveal())
	if d.cloud.outcome != nil {
		return d.cloud.outcome(d.creds)
	}
	return []connector.Check{{Name: "token", OK: true, Duration: time.Millisecond}, {Name: "permissions", OK: true}, {Name: "machines", OK: true}, {Name: "vulnerabilities", OK: true}}
}

// form is what a customer enters; each directory is another one.
func form(directory uuid.UUID) api.ConnectRequest {
	return api.ConnectRequest{
		Type:        api.TypeMicrosoftDefender,
		Credentials: api.CredentialsInput{ClientID: "5f0c7d1e-1b1a-4c55-9d3a-0f6c2f6f4b11", ClientSecret: canary, TenantID: directory.String()},
	}
}

// connect connects a new directory for a tenant.
func (h *house) connect(n neighbour) *api.Integration {
	h.t.Helper()
	i, err := h.client(n, tenant.Admin).ConnectIntegration(context.Background(), form(uuid.New()))
	if err != nil {
		h.t.Fatal(err)
	}
	return i
}
