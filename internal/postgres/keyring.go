package postgres

import (
	"context"

	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/seal"
)

// KeyringChecks reads the check values that earlier starts stored, by key id; of another key-encryption key, by its name.
func (s *Store) KeyringChecks(ctx context.Context) (map[string]seal.Box, error) {
	var rows []struct {
		KeyID string `db:"key_id"`
		Box   []byte `db:"box"`
	}
	err := s.inSystem(ctx, func(tx *sqlx.Tx) error {
		return tx.SelectContext(ctx, &rows, `select key_id, box from keyring_check`)
	})
	checks := make(map[string]seal.Box, len(rows))
	for _, r := range rows {
		checks[r.KeyID] = r.Box
	}
	return checks, err
}

// PutKeyringCheck stores a check value. One that is there for the key already stays: it is what proves a later keyring.
func (s *Store) PutKeyringCheck(ctx context.Context, box seal.Box) error {
	return s.inSystem(ctx, func(tx *sqlx.Tx) error {
		_, err := tx.ExecContext(ctx, `
			insert into keyring_check (key_id, box) values ($1, $2) on conflict (key_id) do nothing`, box.KeyID(), []byte(box))
		return err
	})
}

// SealingKeys counts the stored secrets, staged ones included, that a key of the keyring sealed and no data key, by its id;
// a malformed box counts under "".
func (s *Store) SealingKeys(ctx context.Context) (map[string]int, error) {
	return s.boxesByKey(ctx, `from integration, lateral (values (secret_box), (staged_box)) as b (box) where box is not null`)
}
