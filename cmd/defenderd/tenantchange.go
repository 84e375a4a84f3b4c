package main

import (
	"context"
	"errors"

	"github.com/urfave/cli/v3"

	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/tenant"
)

func (p *program) tenantUpdate() *cli.Command {
	flags, lookup := p.settingFlags(databaseSettings...)
	return &cli.Command{
		Name: "update", Usage: "change a tenant's name, account or limits; what is not given stays as it is", ArgsUsage: "TENANT",
		Description: "Example:\n\n    defenderd tenant update tnt_0199... --name 'Contoso Group' --max-integrations 5",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "name", Usage: "name of the customer"},
			&cli.StringFlag{Name: "account", Usage: "PGP account (e-mail address) that the tenant stands for; empty for none"},
			&cli.IntFlag{Name: "max-integrations", Usage: "integrations that may be connected at a time; 0 for no limit"},
			outputFlag(),
		}, flags...),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			change, err := tenantChange(cmd)
			if err != nil {
				return err
			}
			return p.withTenant(ctx, cmd, lookup, func(s *postgres.Store, t tenant.Tenant) error {
				updated, err := s.UpdateTenant(ctx, t.ID, 0, change)
				if err != nil {
					return err
				}
				return p.showTenant(ctx, cmd, s, updated)
			})
		},
	}
}

// tenantChange is what was given on the command line.
func tenantChange(cmd *cli.Command) (func(*tenant.Tenant), error) {
	if cmd.IsSet("name") {
		if err := checkName("name", cmd.String("name")); err != nil {
			return nil, err
		}
	}
	if err := checkAccount(cmd.String("account")); err != nil {
		return nil, err
	}
	if cmd.Int("max-integrations") < 0 || cmd.Int("max-integrations") > maxLimit {
		return nil, usagef("--max-integrations must be between 0 and %d", maxLimit)
	}
	return func(t *tenant.Tenant) {
		if cmd.IsSet("name") {
			t.Name = cmd.String("name")
		}
		if cmd.IsSet("account") {
			t.Account = cmd.String("account")
		}
		if cmd.IsSet("max-integrations") {
			t.Limits.MaxIntegrations = cmd.Int("max-integrations")
		}
	}, nil
}

// maxLimit is the largest number of integrations that can be set as a limit.
const maxLimit = 1_000_000

// checkAccount accepts what the API accepts, and what a token or the header account can name.
func checkAccount(account string) error {
	if !tenant.ValidAccount(account) {
		return usagef("--account must be at most %d printable ASCII characters without spaces, no tenant's id and not *", tenant.MaxAccount)
	}
	return nil
}

// insisted refuses what cannot be undone unless --yes was given.
func insisted(cmd *cli.Command) error {
	if cmd.Bool("yes") {
		return nil
	}
	return errors.New("nothing was done: this cannot be undone; repeat with --yes if that is what you want")
}

func (p *program) showTenant(ctx context.Context, cmd *cli.Command, s *postgres.Store, t tenant.Tenant) error {
	e, err := entitlementOf(ctx, s, t)
	if err != nil {
		return err
	}
	view, row := viewTenant(t, e)
	return show(p.stdout, cmd, view, tenantHeading, row)
}

func (p *program) tenantDelete() *cli.Command {
	flags, lookup := p.settingFlags(databaseSettings...)
	return &cli.Command{
		Name: "delete", Usage: "delete a tenant and all it has, for good", ArgsUsage: "TENANT",
		Description: "At once its data keys and secrets are destroyed, its keys revoked and its runs ended; processes with the role work delete\n" +
			"everything else. The audit trail stays, and the platform's tells as tenant.deleted what there was. Does it only with --yes.\n\n" +
			"Example:\n\n    defenderd tenant delete tnt_0199... --yes",
		Flags: append([]cli.Flag{&cli.BoolFlag{Name: "yes", Usage: "do it"}, outputFlag()}, flags...),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			return p.withTenant(ctx, cmd, lookup, func(s *postgres.Store, t tenant.Tenant) error {
				if err := insisted(cmd); err != nil {
					return err
				}
				deleting, err := s.DeleteTenant(ctx, t.ID, 0)
				if err != nil {
					return err
				}
				return p.showTenant(ctx, cmd, s, deleting)
			})
		},
	}
}
