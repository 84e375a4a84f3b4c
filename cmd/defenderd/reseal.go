package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v3"

	"pgp.internal/defender/cmd/defenderd/internal/config"
	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/tenant"
)

// resealBatch is how many secrets are read at a time; each is replaced in a transaction of its own.
const resealBatch = 200

func (p *program) keyringReseal() *cli.Command {
	flags, lookup := p.settingFlags(append([]string{"KEYRING"}, databaseSettings...)...)
	return &cli.Command{
		Name: "reseal", Usage: "seal all stored client secrets with the first key, so that older ones can be dropped",
		Description: "Every process of the service must have the first key in its keyring before. The service may run meanwhile. It can be\n" +
			"interrupted and repeated: what is done stays done. Ends with status 1 if a secret opens with no key of the keyring.\n\n" +
			"Example:\n\n    defenderd keyring reseal --keyring-file keyring",
		Flags: append([]cli.Flag{outputFlag()}, flags...),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			cfg, err := config.Read(lookup, p.environ, "DATABASE_URL", "KEYRING")
			if err != nil {
				return err
			}
			p.warn(cfg)
			return p.withStore(ctx, lookup, func(s *postgres.Store) error { return p.reseal(ctx, cmd, s, cfg) })
		},
	}
}

func (p *program) reseal(ctx context.Context, cmd *cli.Command, s *postgres.Store, cfg config.Config) error {
	// A wrong key by the right id would seal what nobody can open.
	if err := checkKeys(ctx, s, cfg.Keyring); err != nil {
		return err
	}
	if err := leaveChecks(ctx, s, cfg.Keyring); err != nil {
		return err
	}
	done, err := connector.Reseal(ctx, s, cfg.Keyring, resealBatch)
	if err != nil {
		return fmt.Errorf("%d secrets were sealed anew, then: %w; the same command goes on", done.Done, err)
	}
	inUse, err := s.SealingKeys(ctx)
	if err != nil {
		return err
	}
	if err := p.showKeys(cmd, cfg.Keyring, inUse); err != nil || len(done.Unreadable) == 0 {
		return err
	}
	var names []string
	for _, id := range done.Unreadable[:min(20, len(done.Unreadable))] {
		names = append(names, tenant.PublicText(tenant.IntegrationPrefix, id))
	}
	return fmt.Errorf("%d secrets open with no key of the keyring: bring the key back, or let their owners enter them again: %s",
		len(done.Unreadable), strings.Join(names, ", "))
}
