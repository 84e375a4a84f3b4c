package syncer_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"pgp.internal/defender/internal/audit"
	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/offboarding"
	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/syncer"
	"pgp.internal/defender/internal/tenant"
)

// occupy gives a tenant rows in every table that tenants have.
func (h *house) occupy(id tenant.ID, directory string) connector.Integration {
	h.t.Helper()
	i := h.connectTo(id, directory, nil)
	mustSucceed(h.t, h.work())
	if err := h.sim.Change(directory, world.Change{Op: "remove_findings", Machine: ptr(2)}, world.Change{Op: "exclude_machine", Machine: ptr(4)}); err != nil {
		h.t.Fatal(err)
	}
	mustSucceed(h.t, h.again(i, syncer.Incremental))
	_, err := h.links.StageSecret(h.t.Context(), id, i.PublicID, connector.Rotation{Credentials: connector.Credentials{Secret: seal.NewSecret(renewed)}})
	must(h.t, err)
	text := tenant.NewKey()
	_, err = h.store.CreateAPIKey(h.t.Context(), id, tenant.APIKey{Name: "ops", Role: tenant.Admin, ExpiresAt: time.Now().Add(time.Hour)}, text)
	must(h.t, err)
	h.sql(`insert into job (tenant_id, kind, subject, run_id, state) values ($1, 'sync', gen_random_uuid(), 0, 'dead')`, id)
	h.sql(`insert into idempotency (tenant_id, name, request, holder, held_until, made)
		select $1, decode(repeat('ab', 32), 'hex'), decode(repeat('cd', 32), 'hex'), gen_random_uuid(), now(), 'key_1'`, id)
	return i
}

// rowsOf counts the rows of a tenant in every table with a column for it, as the database lists them; the audit trail's are told apart.
func (h *house) rowsOf(id tenant.ID) (rows map[string]int64, trail int64) {
	h.t.Helper()
	db := h.owner()
	defer func() { _ = db.Close() }()
	var tables []byte
	err := db.QueryRowContext(h.t.Context(), `
		select json_agg(c.relname) from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id'
		where c.relkind in ('r', 'p') and c.relnamespace = 'public'::regnamespace`).Scan(&tables)
	must(h.t, err)
	var names []string
	must(h.t, json.Unmarshal(tables, &names))
	rows = map[string]int64{"tenant": h.number(`select count(*) from tenant where id = $1`, id)}
	for _, name := range names {
		n := h.number(fmt.Sprintf(`select count(*) from %s where tenant_id = $1`, name), id)
		switch name {
		case "audit_event", "audit_head":
			trail += n
		default:
			rows[name] = n
		}
	}
	return rows, trail
}

// offboarder carries out off-boardings.
func (h *house) offboarder(spool string) *offboarding.Handler {
	return offboarding.New(h.store, spool, h.logger())
}

func isLeaf(table string) bool {
	return len(table) > len("finding_") && (table[:len("finding_")] == "finding_") && table != "finding_event"
}

func (h *house) tenantOf(id tenant.ID) tenant.Tenant {
	h.t.Helper()
	found, err := h.store.Tenant(h.t.Context(), id)
	must(h.t, err)
	return found
}

// mustBeShredded holds that nothing opens what was sealed, before anything is purged: a box from an old dump does not, neither in this
// process, which knew the key, nor in a new one, and no key lets anybody in.
func (h *house) mustBeShredded(dumped connector.Integration) {
	h.t.Helper()
	for _, fresh := range []bool{false, true} {
		if fresh {
			h.wire(defender.Config{})
		}
		if _, err := h.links.Open(h.t.Context(), dumped); !fault.Is(err, fault.CodeSecretUnreadable) {
			h.t.Errorf("a dumped secret, in a new process %v: %v", fresh, err)
		}
	}
	for _, query := range []string{
		`select count(*) from tenant_key where tenant_id = $1`, `select count(*) from api_key where tenant_id = $1 and revoked_at is null`,
		`select count(*) from integration where tenant_id = $1 and (secret_box is not null or staged_box is not null or next_run_at is not null)`,
		`select count(*) from job where tenant_id = $1 and state <> 'dead' and kind <> 'offboard'`,
	} {
		if n := h.number(query, dumped.Tenant); n != 0 {
			h.t.Errorf("%d: %s", n, query)
		}
	}
	_, _, err := h.links.Connect(h.t.Context(), dumped.Tenant, connector.Draft{
		Kind: defender.Kind, Settings: inventory.DefaultSettings(),
		Credentials: connector.Credentials{DirectoryID: twin, ClientID: client, Secret: seal.NewSecret(secret)},
	})
	if !fault.Is(err, fault.CodeUnauthenticated) || h.number(`select count(*) from tenant_key where tenant_id = $1`, dumped.Tenant) != 0 {
		h.t.Errorf("a secret that comes late: %v", err)
	}
}

// mustProve reads the proof in the platform's chain, and holds it against what there was and the end of the tenant's own chain.
func (h *house) mustProve(gone tenant.Tenant, had map[string]int64) {
	h.t.Helper()
	ctx := h.t.Context()
	events, _, err := h.store.ListAuditEvents(ctx, audit.Platform, audit.Filter{Actions: []audit.Action{audit.TenantDeleted}}, inventory.PageRequest{Limit: 10})
	must(h.t, err)
	if len(events) != 1 || events[0].Resource.ID != tenant.PublicText(tenant.TenantPrefix, gone.PublicID) {
		h.t.Fatalf("%+v", events)
	}
	told := map[string]audit.Change{}
	for _, c := range events[0].Changes {
		told[c.Field] = c
	}
	for table, n := range had {
		c := told["rows."+table]
		delete(told, "rows."+table)
		if table == "job" {
			n++ // the deletion's own
		}
		if !isLeaf(table) && n > 0 && (c.Before != strconv.FormatInt(n, 10) || c.After != "0") {
			h.t.Errorf("%s had %d rows; the proof says %+v", table, n, c)
		}
	}
	var hash, number string
	db := h.owner()
	defer func() { _ = db.Close() }()
	must(h.t, db.QueryRowContext(ctx, `select encode(hash, 'hex'), sequence::text from audit_head where tenant_id = $1`, gone.ID).Scan(&hash, &number))
	if told["chain.hash"].After != hash || told["chain.events"].After != number || told["chain.number"].After != fmt.Sprint(gone.ID) || len(told) != 4 {
		h.t.Errorf("the chain ends at %s with %s; the proof says %+v", number, hash, told)
	}
	for _, chain := range []tenant.ID{audit.Platform, gone.ID} {
		if _, err := h.store.VerifyAudit(ctx, chain, nil); err != nil {
			h.t.Errorf("chain %d: %v", chain, err)
		}
	}
}

// mustMissTheTrail cuts the trail of a deleted tenant with its head, and then takes all of it away: the proof of the deletion tells.
func (h *house) mustMissTheTrail(gone tenant.ID) {
	h.t.Helper()
	ctx := h.t.Context()
	h.sql(`alter table audit_event disable trigger all; alter table audit_event no force row level security; alter table audit_head no force row level security`)
	for _, tampering := range []string{
		`with last as (delete from audit_event where tenant_id = $1 and sequence = (select max(sequence) from audit_event where tenant_id = $1))
		 update audit_head set (sequence, hash) = (select sequence, hash from audit_event where tenant_id = $1 order by sequence desc offset 1 limit 1) where tenant_id = $1`,
		`with all_of_it as (delete from audit_event where tenant_id = $1) delete from audit_head where tenant_id = $1`,
	} {
		h.sql(tampering, gone)
		var broken *audit.BrokenError
		if _, err := h.store.VerifyAudit(ctx, gone, nil); !errors.As(err, &broken) {
			h.t.Errorf("after %s: %v", tampering, err)
		}
	}
	if chains, err := h.store.AuditChains(ctx); err != nil || !slices.Contains(chains, gone) {
		h.t.Errorf("the chains are %v, %v", chains, err)
	}
}
