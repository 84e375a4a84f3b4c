package main

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/cmd/defenderd/internal/config"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/tenant"
)

// Prefixes of public ids, as the API writes them.
const (
	tenantPrefix = tenant.TenantPrefix
	keyPrefix    = tenant.KeyPrefix
)

func publicID(prefix string, id uuid.UUID) string { return tenant.PublicText(prefix, id) }

func parsePublicID(prefix, what, text string) (uuid.UUID, error) {
	digits, ok := strings.CutPrefix(text, prefix)
	if raw, err := hex.DecodeString(digits); ok && err == nil && len(raw) == len(uuid.UUID{}) {
		return uuid.UUID(raw), nil
	}
	if text == "" {
		return uuid.Nil, usagef("the %s is missing: %s and 32 digits, as \"list\" shows it", what, prefix)
	}
	return uuid.Nil, usagef("%q is no %s: it is %s and 32 digits, as \"list\" shows it", text, what, prefix)
}

// withStore opens the database for an operator's command. Its events are sealed with the first key of the keyring, if it has one:
// a keyring that is not the service's is refused, because an event that it sealed would break the chain for good.
func (p *program) withStore(ctx context.Context, lookup config.Lookup, use func(*postgres.Store) error) error {
	return p.withAnyKeyring(ctx, lookup, func(s *postgres.Store, ring *seal.Ring) error {
		if ring != nil {
			if err := checkSealing(ctx, s, ring); err != nil {
				return err
			}
		}
		return use(s)
	})
}

// withAnyKeyring is withStore for commands that record nothing, or check the keyring, nil for none, by themselves.
func (p *program) withAnyKeyring(ctx context.Context, lookup config.Lookup, use func(*postgres.Store, *seal.Ring) error) (err error) {
	cfg, err := config.Read(lookup, p.environ, "DATABASE_URL")
	if err != nil {
		return err
	}
	if err := checkSchema(ctx, cfg, slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
	options := postgres.ForOperator()
	options.Actor = operatorActor()
	if cfg.Keyring != nil {
		options.AuditKey, options.KeySeals = auditKey(cfg.Keyring), tenant.NewKeySeals(cfg.Keyring)
	}
	store, err := postgres.Open(ctx, cfg.DatabaseURL.Reveal(), options, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return use(store, cfg.Keyring)
}

func checkName(flag, name string) error {
	if !tenant.ValidName(name) {
		return usagef("--%s must be 1 to %d characters, one of which can be seen, and none that is invisible or sets the direction of writing", flag, tenant.MaxName)
	}
	return nil
}

// day reads a calendar day; empty is the zero time.
func day(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return t, usagef("--%s must be a day such as 2027-12-31", flag)
	}
	return t, nil
}

func showDay(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format(time.DateOnly)
}

func showTime(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}
