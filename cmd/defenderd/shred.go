package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v3"

	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/tenant"
)

func (p *program) keyringShred() *cli.Command {
	flags, lookup := p.settingFlags(databaseSettings...)
	return &cli.Command{
		Name: "shred", Usage: "destroy the data keys of a tenant, and so all its stored secrets",
		Description: "From then on no secret of the tenant can be read, whatever copies of its row there are; only a backup that holds the data keys too,\n" +
			"with the key that wrapped them, still can. Its integrations need their secrets entered again. Does it only with --yes.\n\n" +
			"Example:\n\n    defenderd keyring shred --tenant tnt_0199... --yes",
		Flags: append([]cli.Flag{tenantFlag(), &cli.BoolFlag{Name: "yes", Usage: "do it"}}, flags...),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			return p.withTenant(ctx, cmd, lookup, func(s *postgres.Store, t tenant.Tenant) error {
				if err := insisted(cmd); err != nil {
					return err
				}
				n, err := s.DestroyDataKeys(ctx, t.ID)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(p.stdout, "Destroyed %d data keys.\n", n)
				return err
			})
		},
	}
}
