package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"pgp.internal/defender/cmd/defenderd/internal/config"
	"pgp.internal/defender/internal/envelope"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/kms"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/seal"
)

// keySettings are the settings of commands that wrap and unwrap.
var keySettings = []string{"KEYRING", "KEK", "KEK_FORMER", "VAULT_TOKEN_FILE", "CA_FILE"}

// keysOf makes the key-encryption keys of the settings: one that wraps, and the others, the keyring always among them.
func keysOf(ctx context.Context, cfg config.Config, observer kms.Observer) (*envelope.Keys, error) {
	options := kms.Options{RootCAs: cfg.RootCAs, VaultTokenFile: cfg.VaultTokenFile, Observer: observer}
	current, former := envelope.Keyring(cfg.Keyring), []envelope.KEK(nil)
	if cfg.KEK != "" {
		service, err := kms.Open(ctx, cfg.KEK, options)
		if err != nil {
			return nil, fmt.Errorf("%sKEK: %w", config.Prefix, err)
		}
		current, former = service, append(former, current)
	}
	for _, text := range cfg.FormerKEKs {
		service, err := kms.Open(ctx, text, options)
		if err != nil {
			return nil, fmt.Errorf("%sKEK_FORMER: %w", config.Prefix, err)
		}
		former = append(former, service)
	}
	return envelope.NewKeys(time.Now, current, former...), nil
}

// acceptWithin bounds what a key service may delay a start, twice if it has to make a value as well. The database is not held to it: it is asked behind
// a key service that hangs, too.
const acceptWithin = 4 * time.Second

// acceptKeys refuses keys that do not fit what is stored, and leaves a check value for each key that is new to the database. A
// key service that the database knows may be away, and somebody may have written a box that no key made: then the service starts, and says so.
func acceptKeys(ctx context.Context, s *postgres.Store, cfg config.Config, keys *envelope.Keys, log *slog.Logger) error {
	strays, err := fitsStore(ctx, s, cfg.Keyring, keys)
	if err != nil {
		return err
	}
	for _, stray := range strays {
		log.Error("what is stored there names a key that was never in use, and opens with none: somebody has written it past the service",
			"tenant", stray.Tenant, "object", stray.Object, "key", stray.Key)
	}
	err = checkKEKs(ctx, s, keys)
	if fault.Is(err, fault.CodeKeysUnavailable) {
		log.Warn("the key service does not answer: secrets cannot be opened or stored until it does", "error", err)
	} else if err != nil {
		return err
	}
	if err := leaveChecks(ctx, s, cfg.Keyring); err != nil || cfg.KEK == "" {
		return err
	}
	return leaveKEKCheck(ctx, s, keys)
}

// checkKeys refuses a key that is not the one the database knows by its id.
func checkKeys(ctx context.Context, s *postgres.Store, ring *seal.Ring) error {
	checks, err := s.KeyringChecks(ctx)
	if err != nil {
		return err
	}
	var problems []error
	for _, id := range slices.Sorted(maps.Keys(checks)) {
		if !slices.Contains(ring.IDs(), id) {
			continue
		}
		if err := ring.VerifyCheck(checks[id]); err != nil {
			problems = append(problems, fmt.Errorf("%sKEYRING: the key %q is not the one that the database knows by this id", config.Prefix, id))
		}
	}
	return errors.Join(problems...)
}

// checkSealing refuses a keyring whose first key is not the service's, with which events, API keys and data keys would be sealed: it is
// another one than the database knows by its id, or one of an id that is not known there, so no process of the service has it. A database that knows no key yet gets to know these, so that the
// service does not start with others by the same ids later.
func checkSealing(ctx context.Context, s *postgres.Store, ring *seal.Ring) error {
	if err := checkKeys(ctx, s, ring); err != nil {
		return err
	}
	known, err := knownKeys(ctx, s)
	if err != nil {
		return err
	}
	if len(known) == 0 {
		return leaveChecks(ctx, s, ring)
	}
	first := ring.IDs()[0]
	if slices.Contains(known, first) {
		return nil
	}
	return fmt.Errorf("%sKEYRING: the first key %q is not known to the database: use the service's keyring, or start the service with this one first", config.Prefix, first)
}

// knownKeys are the ids of the keys of keyrings that the database knows.
func knownKeys(ctx context.Context, s *postgres.Store) ([]string, error) {
	checks, err := s.KeyringChecks(ctx)
	return slices.DeleteFunc(slices.Sorted(maps.Keys(checks)), ofKeyService), err
}

// ofKeyService tells the name of a key-encryption key, an address, from the id of one of the keyring.
func ofKeyService(name string) bool { return strings.Contains(name, "://") }

// checkKEKs refuses a key of a key service that is not the one that the database knows by its name. The fault
// key_service_unavailable says that one could not be asked, and that nothing else is wrong.
func checkKEKs(ctx context.Context, s *postgres.Store, keys *envelope.Keys) error {
	checks, err := s.KeyringChecks(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, acceptWithin)
	defer cancel()
	var away error
	for _, name := range slices.Sorted(maps.Keys(checks)) {
		if !ofKeyService(name) || !keys.Opens(name) {
			continue
		}
		err := keys.VerifyCheck(ctx, name, checks[name])
		switch {
		case fault.Is(err, fault.CodeKeysUnavailable):
			away = err
		case err != nil:
			return fmt.Errorf("%sKEK: the key of the key service is not the one that the database knows by the name %q: %w", config.Prefix, name, err)
		}
	}
	return away
}

// leaveKEKCheck stores the check value of the current key, if there is none yet. A key service that never answered so far is
// more likely set up wrongly than away, so it is refused.
func leaveKEKCheck(ctx context.Context, s *postgres.Store, keys *envelope.Keys) error {
	checks, err := s.KeyringChecks(ctx)
	if err != nil {
		return err
	}
	for name := range checks {
		if ofKeyService(name) && keys.Current().Opens(name) {
			return nil
		}
	}
	asking, cancel := context.WithTimeout(ctx, acceptWithin)
	defer cancel()
	name, wrapped, err := keys.CheckValue(asking)
	if err != nil {
		return fmt.Errorf("%sKEK: the key service was never reached with these settings: %w", config.Prefix, err)
	}
	return s.PutKEKCheck(ctx, name, wrapped)
}

// leaveChecks leaves a check value for each key of the keyring that is new to the database. Without one it writes nothing, so
// that a process can start on a standby.
func leaveChecks(ctx context.Context, s *postgres.Store, ring *seal.Ring) error {
	known, err := s.KeyringChecks(ctx)
	if err != nil {
		return err
	}
	for _, box := range ring.CheckValues() {
		if _, ok := known[box.KeyID()]; ok {
			continue
		}
		err := s.PutKeyringCheck(ctx, box)
		if fault.Is(err, fault.CodeReadOnly) {
			return fmt.Errorf("%sKEYRING: the key %q is new to the database, and this one takes no changes: start a process with it on the primary first", config.Prefix, box.KeyID())
		} else if err != nil {
			return err
		}
	}
	// Once more, because another process may have come first with another key by the same id.
	return checkKeys(ctx, s, ring)
}
