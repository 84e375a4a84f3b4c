package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"pgp.internal/defender/cmd/defenderd/internal/config"
	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/envelope"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/tenant"
)

// resealBatch is how many data keys or secrets are read at a time; each is replaced in a transaction of its own.
const resealBatch = 200

func (p *program) keyringReseal() *cli.Command {
	flags, lookup := p.settingFlags(append(slices.Clone(keySettings), databaseSettings...)...)
	return &cli.Command{
		Name: "reseal", Usage: "wrap all data keys, and seal all API keys, with the key in use, so that older ones can be dropped",
		Description: "The key in use is the first of the keyring; for data keys, with DEFENDERD_KEK, the newest version of the key service's key. Secrets that no\n" +
			"data key of their tenant has sealed are sealed with it; with --new-data-keys each tenant gets a new one, and all secrets are.\n" +
			"Every process of the service must have the key in use before. The service may run meanwhile. It can be interrupted and\n" +
			"repeated: what is done stays done. Ends with status 1 if something opens with no key there is.\n\n" +
			"Examples:\n\n    defenderd keyring reseal --keyring-file keyring\n    defenderd keyring reseal --new-data-keys",
		Flags: append([]cli.Flag{
			&cli.BoolFlag{Name: "new-data-keys", Usage: "give each tenant a new data key, and seal its secrets with that"}, outputFlag(),
		}, flags...),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			cfg, err := p.keyed(cmd, lookup)
			if err != nil {
				return err
			}
			keys, err := keysOf(ctx, cfg, nil)
			if err != nil {
				return err
			}
			return p.withAnyKeyring(ctx, lookup, func(s *postgres.Store, _ *seal.Ring) error { return p.reseal(ctx, cmd, s, cfg, keys) })
		},
	}
}

func (p *program) reseal(ctx context.Context, cmd *cli.Command, s *postgres.Store, cfg config.Config, keys *envelope.Keys) error {
	// A wrong key by the right name, or one that no process of the service has, would seal what the service cannot open.
	if err := errors.Join(checkSealing(ctx, s, cfg.Keyring), checkKEKs(ctx, s, keys)); err != nil {
		return err
	}
	if cfg.KEK != "" { // known by its name before anything is wrapped by it: what names a key that never was known is no reason to miss it
		if err := leaveKEKCheck(ctx, s, keys); err != nil {
			return err
		}
	}
	wrapped, err := keys.Rewrap(ctx, s, resealBatch)
	if err != nil {
		return fmt.Errorf("%d data keys were wrapped anew, then: %w; the same command goes on", wrapped.Done, err)
	}
	if cfg.KEK != "" {
		if err := renewKEKCheck(ctx, s, keys); err != nil {
			return err
		}
	}
	if cmd.Bool("new-data-keys") && len(wrapped.Unreadable) == 0 { // beside one that does not open, a new one helps nobody
		if made, err := keys.Renew(ctx, s, resealBatch); err != nil {
			return fmt.Errorf("%d data keys were made, then: %w; the same command goes on", made, err)
		}
	}
	sealed, err := connector.Reseal(ctx, s, envelope.NewSealer(s, keys, cfg.Keyring), resealBatch)
	if err != nil {
		return fmt.Errorf("%d secrets were sealed anew, then: %w; the same command goes on", sealed.Done, err)
	}
	if _, err := s.DropReplacedDataKeys(ctx); err != nil {
		return err
	}
	apiKeys, err := tenant.NewKeySeals(cfg.Keyring).Reseal(ctx, s, resealBatch)
	if err != nil {
		return fmt.Errorf("%d API keys were sealed anew, then: %w; the same command goes on", apiKeys.Done, err)
	}
	return errors.Join(p.showStored(ctx, cmd, s, cfg.Keyring), unreadableDataKeys(ctx, s, wrapped.Unreadable), unreadableSecrets(sealed),
		unreadableAPIKeys(apiKeys))
}

// renewKEKCheck stores a check value of the present version, so that older ones can be withdrawn at the key service.
func renewKEKCheck(ctx context.Context, s *postgres.Store, keys *envelope.Keys) error {
	name, box, err := keys.CheckValue(ctx)
	if err != nil {
		return err
	}
	return s.RenewKEKCheck(ctx, name, box)
}

// unreadableDataKeys names those that no key unwraps by their tenants.
func unreadableDataKeys(ctx context.Context, s *postgres.Store, of []tenant.ID) error {
	if len(of) == 0 {
		return nil
	}
	tenants, err := s.ListTenants(ctx, tenant.Filter{})
	if err != nil {
		return err
	}
	var names []string
	for _, t := range tenants {
		if slices.Contains(of, t.ID) {
			names = append(names, tenant.PublicText(tenant.TenantPrefix, t.PublicID))
		}
	}
	return fmt.Errorf("%d data keys open with no key there is: bring the key back that wrapped them, or their rows from a backup; they are of: %s", len(of), first20(names))
}

// unreadableSecrets names those that no key opened by their integrations.
func unreadableSecrets(r connector.Resealed) error {
	if len(r.Unreadable) == 0 {
		return nil
	}
	var names []string
	for _, id := range r.Unreadable {
		names = append(names, tenant.PublicText(tenant.IntegrationPrefix, id))
	}
	return fmt.Errorf("%d secrets open with no key there is: bring the key back, or let their owners enter them again: %s", len(names), first20(names))
}

// unreadableAPIKeys names the API keys that let nobody in any more.
func unreadableAPIKeys(r tenant.ResealedKeys) error {
	if len(r.Unreadable) == 0 {
		return nil
	}
	var names []string
	for _, id := range r.Unreadable {
		names = append(names, tenant.PublicText(tenant.KeyPrefix, id))
	}
	return fmt.Errorf("%d API keys were sealed with a key that is missing, or changed outside the service, and are refused: bring the key back, or revoke them: %s",
		len(names), first20(names))
}

func first20(names []string) string { return strings.Join(names[:min(20, len(names))], ", ") }
