package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/tenant"
)

// admissionView is a tenant that somebody can work for, and where its key is.
type admissionView struct {
	Tenant  string `json:"tenant"`
	Name    string `json:"name"`
	KeyFile string `json:"key_file"`
	Made    bool   `json:"key_made"` // by this call
}

func (p *program) tenantAdmit() *cli.Command {
	flags, lookup := p.settingFlags(keyringSettings...)
	return &cli.Command{
		Name: "admit", Usage: "make a tenant and an admin key in one step, unless they are there; for development and demonstrations",
		Description: "The tenant has internal assessments without limit. The key goes to a file that only its owner can read and is not\n" +
			"shown. A key in the file that works is kept; one that does not is replaced.\n\n" +
			"Example:\n\n    defenderd tenant admit --name Development --key-file .local/dev/api-key",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "name", Required: true, Usage: "name of the tenant; one that has it already is taken"},
			&cli.StringFlag{Name: "key-file", Required: true, Usage: "file that holds the key, or will"},
			outputFlag(),
		}, flags...),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			name, file := cmd.String("name"), cmd.String("key-file")
			if err := checkName("name", name); err != nil {
				return err
			}
			if _, err := p.keyed(cmd, lookup); err != nil {
				return err
			}
			return p.withStore(ctx, lookup, func(s *postgres.Store) error {
				t, made, err := admit(ctx, s, name, file)
				if err != nil {
					return err
				}
				view := admissionView{publicID(tenantPrefix, t.PublicID), t.Name, file, made}
				return show(p.stdout, cmd, view, []string{"TENANT", "NAME", "KEY IN"}, []string{view.Tenant, view.Name, view.KeyFile})
			})
		},
	}
}

// admit finds the tenant that the key in the file belongs to, or makes a key for the tenant of that name.
func admit(ctx context.Context, s *postgres.Store, name, file string) (t tenant.Tenant, made bool, err error) {
	body, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return t, false, err
	}
	who, err := s.PrincipalByKey(ctx, seal.NewSecret(strings.TrimSpace(string(body))))
	if err == nil && who.Role == tenant.Admin {
		t, err = s.Tenant(ctx, who.Tenant)
		return t, false, err
	}
	if err != nil && !fault.Is(err, fault.CodeUnauthenticated) {
		return t, false, err
	}
	if t, err = tenantNamed(ctx, s, name); err != nil {
		return t, false, err
	}
	key := tenant.NewKey()
	k := tenant.APIKey{Name: "admin", Role: tenant.Admin, ExpiresAt: time.Now().Add(tenant.MaxKeyLife)}
	if _, err := s.CreateAPIKey(ctx, t.ID, k, key); err != nil {
		return t, false, err
	}
	return t, true, replaceSecret(file, key.Reveal())
}

// tenantNamed finds the oldest tenant of that name, or makes one.
func tenantNamed(ctx context.Context, s *postgres.Store, name string) (tenant.Tenant, error) {
	all, err := s.ListTenants(ctx, tenant.Filter{})
	if err != nil {
		return tenant.Tenant{}, err
	}
	if i := slices.IndexFunc(all, func(t tenant.Tenant) bool { return t.Name == name }); i >= 0 {
		if t := all[i]; t.State != tenant.Active {
			return t, fmt.Errorf("the tenant %s of that name is %s", publicID(tenantPrefix, t.PublicID), t.State)
		}
		return all[i], nil
	}
	t, err := s.CreateTenant(ctx, name, "")
	if err != nil {
		return t, err
	}
	return t, s.SetEntitlement(ctx, t.ID, tenant.Entitlement{InternalAssessments: true, Source: "cli"})
}

// replaceSecret writes a file that only its owner can read, so that an interruption leaves the old one or the new one.
func replaceSecret(name, text string) error {
	unfinished := name + ".new"
	if err := os.Remove(unfinished); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := writeSecret(unfinished, text); err != nil {
		return err
	}
	return os.Rename(unfinished, name)
}
