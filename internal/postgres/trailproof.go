package postgres

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/audit"
	"pgp.internal/defender/internal/tenant"
)

// provenHead is how far the chain of a deleted tenant went, by the proof of its deletion in the platform's chain; nil for any other.
func provenHead(ctx context.Context, tx *sqlx.Tx, chain tenant.ID) (*audit.Head, error) {
	named, err := json.Marshal([]map[string]string{{"field": proofNumber, "after": strconv.Itoa(int(chain))}})
	if err != nil {
		return nil, err
	}
	var row auditRow
	err = tx.GetContext(ctx, &row, `
		select * from audit_event where tenant_id = $1 and action = $2 and changes @> $3 order by sequence desc limit 1`,
		audit.Platform, audit.TenantDeleted, string(named))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	proof, err := row.sealed()
	if err != nil {
		return nil, nil //nolint:nilerr // the platform's own chain is told as broken there
	}
	told := map[string]string{}
	for _, c := range proof.Changes {
		told[c.Field] = c.After
	}
	var head audit.Head
	if head.Sequence, err = strconv.ParseInt(told[proofEvents], 10, 64); err == nil {
		head.Hash, err = hex.DecodeString(told[proofHash])
	}
	if err != nil {
		return nil, fmt.Errorf("the proof of the deletion of tenant %d: %w", chain, err)
	}
	return &head, nil
}

// Fields of the proof that a tenant was deleted which tell of its chain.
const (
	proofNumber = "chain.number"
	proofEvents = "chain.events"
	proofHash   = "chain.hash"
)
