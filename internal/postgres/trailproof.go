package postgres

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"strconv"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/audit"
	"pgp.internal/defender/internal/tenant"
)

// verifyProofs holds a tenant's chain against what the platform's tells of it: how it begins, and of a deleted tenant how it ends. The chain
// of a tenant that is there has at least one event, also if the platform's does not tell with which one it begins, because every
// tenant is created with an entitlement.
func verifyProofs(ctx context.Context, tx *sqlx.Tx, v *audit.Verifier, chain tenant.ID) error {
	told, err := proof(ctx, tx, chain, audit.TenantCreated)
	if err != nil {
		return err
	}
	var there bool
	if err := tx.GetContext(ctx, &there, `select exists (select from tenant where id = $1)`, chain); err != nil {
		return err
	}
	if there || told != nil {
		var first []byte
		if told != nil {
			if first, err = hex.DecodeString(told[proofHash]); err != nil {
				first = []byte{} // no event has it
			}
		}
		if err := v.Start(first); err != nil {
			return err
		}
	}
	if told, err = proof(ctx, tx, chain, audit.TenantDeleted); err != nil || told == nil {
		return err
	}
	return v.End(provenHead(told))
}

// verifyCreations checks that the platform's chain, whose head is held, tells of the creation of each tenant that is there. So neither
// that chain can be taken away whole, nor its end with the creation of a tenant that is still served.
func verifyCreations(ctx context.Context, tx *sqlx.Tx, v *audit.Verifier) error {
	var untold []uuid.UUID
	err := tx.SelectContext(ctx, &untold, `
		select t.public_id from tenant t
		where not exists (select from audit_event e where e.tenant_id = $1 and e.action = $2 and e.resource_id = $3 || replace(t.public_id::text, '-', ''))
		order by t.id limit 1`, audit.Platform, audit.TenantCreated, tenant.TenantPrefix)
	if err != nil || len(untold) == 0 {
		return err
	}
	return v.Missing("the creation of " + tenant.PublicText(tenant.TenantPrefix, untold[0]) + ", which is there")
}

// proof gives what the platform's chain tells of a tenant's in the last event of an action, by field; nil if there is none that can be
// read: that is told as broken there.
func proof(ctx context.Context, tx *sqlx.Tx, chain tenant.ID, action audit.Action) (map[string]string, error) {
	named, err := json.Marshal([]map[string]string{{"field": proofNumber, "after": strconv.Itoa(int(chain))}})
	if err != nil {
		return nil, err
	}
	var row auditRow
	err = tx.GetContext(ctx, &row, `
		select * from audit_event where tenant_id = $1 and action = $2 and changes @> $3 order by sequence desc limit 1`,
		audit.Platform, action, string(named))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	event, err := row.sealed()
	if err != nil {
		return nil, nil //nolint:nilerr // the platform's own chain is told as broken there
	}
	told := map[string]string{}
	for _, c := range event.Changes {
		told[c.Field] = c.After
	}
	return told, nil
}

// provenHead is how far the chain of a deleted tenant went, by the proof of its deletion. One that does not tell it, which is not how
// they are written, is the head of no chain.
func provenHead(told map[string]string) audit.Head {
	sequence, err := strconv.ParseInt(told[proofEvents], 10, 64)
	hash, malformed := hex.DecodeString(told[proofHash])
	if err != nil || malformed != nil {
		return audit.Head{Sequence: math.MaxInt64}
	}
	return audit.Head{Sequence: sequence, Hash: hash}
}

// Fields of the events of the platform's chain that tell of a tenant's: of its creation, and the proof of its deletion.
const (
	proofNumber = "chain.number"
	proofEvents = "chain.events"
	proofHash   = "chain.hash" // of the first event or of the last
)
