package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"pgp.internal/defender/api"
	"pgp.internal/defender/cmd/defenderd/internal/demo"
	"pgp.internal/defender/internal/connector/defender/defendersim"
)

// demoAgainst walks through a service and a simulator that run already. It starts nothing and leaves what it imported.
func (p *program) demoAgainst(ctx context.Context, service, control, keyFile string) error {
	began := time.Now()
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return err
	}
	service, control = strings.TrimSuffix(service, "/"), strings.TrimSuffix(control, "/")
	directory, app, err := connectable(ctx, control)
	if err != nil {
		return fmt.Errorf("ask the simulator at %s: %w", control, err)
	}
	w := demo.NewWriter(p.stdout, onTerminal(p.stdout))
	w.Title("Microsoft Defender for PGP, with a simulated Microsoft")
	w.Step("What runs already")
	w.Line("service:   on %s, key in %s", service, keyFile)
	w.Line("microsoft: simulated, controlled on %s, a directory of %d machines and some odd ones", control, directory.Machines)
	tour := demo.Tour{
		Client: api.New(service, strings.TrimSpace(string(key))), Writer: w, Control: control,
		DirectoryID: directory.ID, ClientID: app.ClientID, Secret: app.Secret,
	}
	if err := tour.Walk(ctx); err != nil {
		return first(ctx, err)
	}
	alone, err := onlyIntegration(ctx, tour.Client)
	if err != nil {
		return first(ctx, err)
	}
	if alone { // else the figures are those of all integrations together
		err = tour.Compare(ctx)
	}
	w.Line("Took %s.", time.Since(began).Round(100*time.Millisecond))
	return first(ctx, err)
}

// connectable finds the simulator's first directory with an application that must be able to connect.
func connectable(ctx context.Context, control string) (d defendersim.DirectorySpec, a defendersim.App, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, control+"/", nil)
	if err != nil {
		return d, a, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return d, a, err
	}
	defer resp.Body.Close() //nolint:errcheck // nothing is written
	if resp.StatusCode != http.StatusOK {
		return d, a, errors.New("it answers " + resp.Status)
	}
	var index struct{ Directories []defendersim.DirectorySpec }
	if err := json.NewDecoder(resp.Body).Decode(&index); err != nil {
		return d, a, err
	}
	for _, d := range index.Directories {
		if i := slices.IndexFunc(d.Apps, healthy); i >= 0 && d.Machines > 0 && !d.NotProvisioned && (d.Licence == "" || d.Licence == defendersim.LicenceFull) {
			return d, d.Apps[i], nil
		}
	}
	return d, a, errors.New("no directory of its has an application that can connect")
}

func healthy(a defendersim.App) bool {
	return !a.Disabled && !a.NoServicePrincipal && !a.ConditionalAccessBlocked && len(a.Secret) > 4 &&
		(a.SecretExpiresAt.IsZero() || a.SecretExpiresAt.After(time.Now())) &&
		slices.Contains(a.Roles, defendersim.RoleMachineRead) && slices.Contains(a.Roles, defendersim.RoleVulnerabilityRead)
}

func onlyIntegration(ctx context.Context, client *api.Client) (bool, error) {
	n := 0
	for _, err := range client.AllIntegrations(ctx, api.ListIntegrationsOptions{}) {
		if err != nil {
			return false, err
		}
		n++
	}
	return n == 1, nil
}
