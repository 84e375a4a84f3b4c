package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/inventory"
)

// storedRecords reads a tenant's records from the tables, as the lines that the simulator would write of them.
type storedRecords struct {
	*database
	tenant int32
	fixed  int64 // findings that were read and left out, since the simulator tells of open ones
}

func (d *database) stored(tenant int32) *storedRecords {
	return &storedRecords{database: d, tenant: tenant}
}

// findings reads the finding table alone, in the order in which it lies; what its numbers stand for is read before.
func (s *storedRecords) findings(ctx context.Context, into ledger) error {
	machines, err := s.names(ctx, "select a.id, a.source_id from asset a where a.tenant_id = $1", s.tenant)
	if err != nil {
		return err
	}
	vulnerabilities, err := s.names(ctx, "select v.id, v.name from vulnerability v")
	if err != nil {
		return err
	}
	software, err := s.names(ctx, "select s.id, s.vendor || '/' || s.product || '/' || s.version from software s")
	if err != nil {
		return err
	}
	rows, err := s.db.QueryContext(ctx, `
		select f.asset_id, f.vulnerability_id, f.severity, f.attack_vector, f.state, f.software_ids::text from finding f where f.tenant_id = $1`, s.tenant)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // its error is that of Err
	for rows.Next() {
		var asset, vulnerability, severity, vector, state int64
		var installed sql.RawBytes
		if err := rows.Scan(&asset, &vulnerability, &severity, &vector, &state, &installed); err != nil {
			return err
		}
		if state == int64(inventory.FindingFixed) {
			s.fixed++
			continue
		}
		f := world.Finding{
			SourceID: machines[asset], CVE: vulnerabilities[vulnerability],
			Severity: inventory.Severity(severity).String(), AttackVector: inventory.AttackVector(vector).String(),
		}
		if f.Software, err = labels(string(installed), software); err != nil {
			return err
		}
		line, err := json.Marshal(f)
		if err != nil {
			return err
		}
		if state != int64(inventory.FindingOpen) {
			line = fmt.Appendf(line, " is in state %d", state)
		}
		into.add(f.SourceID, line)
	}
	return rows.Err()
}

// labels names the software of an array such as {3,17}, sorted and each once.
func labels(array string, software map[int64]string) ([]string, error) {
	var list []string
	for number := range strings.SplitSeq(strings.Trim(array, "{}"), ",") {
		id, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("the software of a finding is %q", array)
		}
		list = append(list, software[id])
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

// assets reads the assets that are in scope.
func (s *storedRecords) assets(ctx context.Context, into ledger) error {
	rows, err := s.db.QueryContext(ctx, `
		select a.source_id, a.hostname, host(a.primary_ip), a.name_kind, a.os_family from asset a
		where a.tenant_id = $1 and a.state in ('active', 'inactive')`, s.tenant)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // its error is that of Err
	for rows.Next() {
		var a world.Asset
		if err := rows.Scan(&a.SourceID, &a.Hostname, &a.PrimaryIP, &a.NameKind, &a.OSFamily); err != nil {
			return err
		}
		line, err := json.Marshal(a)
		if err != nil {
			return err
		}
		into.add(a.SourceID, line)
	}
	return rows.Err()
}

// names reads pairs of a number and what it stands for.
func (s *storedRecords) names(ctx context.Context, statement string, args ...any) (map[int64]string, error) {
	rows, err := s.db.QueryContext(ctx, statement, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // its error is that of Err
	names := map[int64]string{}
	for rows.Next() {
		var id int64
		var name string
		if err := rows.Scan(&id, &name); err != nil {
			return nil, err
		}
		names[id] = name
	}
	return names, rows.Err()
}
