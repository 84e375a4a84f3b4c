package httpapi_test

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/google/uuid"
)

// objects are the ids of what a tenant has, as they stand on the wire.
type objects struct {
	integration, run, asset, finding, key, vulnerability, tenant string
}

// furnish gives a tenant an integration with a run, two assets and findings on them.
func (h *house) furnish(n neighbour) objects {
	h.t.Helper()
	i := h.connect(n)
	first, second := uuid.New(), uuid.New()
	h.exec(fmt.Sprintf(seedInventory, n.id, uuidOf(i.ID), first, second))
	var vulnID int64
	if err := h.owner.QueryRow(`select id from vulnerability where name = 'CVE-2026-21412'`).Scan(&vulnID); err != nil {
		h.t.Fatal(err)
	}
	var key uuid.UUID
	if err := h.owner.QueryRow(`select public_id from api_key where tenant_id = $1 and role = 'readonly'`, n.id).Scan(&key); err != nil {
		h.t.Fatal(err)
	}
	return objects{
		integration: i.ID, run: i.LastRun.ID, asset: "ast_" + hex.EncodeToString(first[:]), key: "key_" + hex.EncodeToString(key[:]),
		finding: fmt.Sprintf("fnd_%x_%x", first[:], vulnID), vulnerability: "CVE-2026-21412", tenant: h.publicID(n),
	}
}

func uuidOf(id string) uuid.UUID {
	_, digits, _ := strings.Cut(id, "_")
	return uuid.MustParse(digits)
}

// seedInventory takes the tenant, the integration's public id and those of two assets.
const seedInventory = `
insert into vulnerability (name, title, description, severity_word, severity, score, vector, attack_vector, epss, public_exploit, exploit_verified,
    exploit_in_kit, exploit_types, exploit_uris, tags, supportability, published_at, source_updated_at, partial)
values ('CVE-2026-21412', 'Remote code execution', 'A flaw.', 'Critical', 4, 9.8, 'CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H', 1, 0.87, true, true, false,
    '{Remote}', '{https://example.com/x}', '{}', 'Supported', '2026-05-12Z', '2026-06-01Z', false),
  ('TVM-2026-0001', '', '', '', 0, null, '', 0, null, false, false, false, '{}', '{}', '{}', '', null, null, true)
on conflict do nothing;
insert into vulnerability_words (vulnerability_id, words)
select id, to_tsvector('simple', replace(name, '-', ' ') || ' ' || title || ' ' || description) from vulnerability on conflict do nothing;
insert into software (vendor, product, version) values ('example', 'example_server', '4.2') on conflict do nothing;
insert into asset (tenant_id, public_id, integration_id, source_id, hostname, hostname_raw, name_kind, primary_ip, addresses, os_platform, os_family,
    os_build, health, onboarding, risk_score, group_id, group_name, tags, aad_device_id, aad_joined, cloud, last_seen_at, findings_seen_at, state,
    state_reason, content_hash, open_critical, open_unknown)
select %[1]d, a.public_id::uuid, i.id, a.source, a.host, upper(a.host), 'fqdn', a.ip::inet,
       jsonb_build_array(jsonb_build_object('ip', 'fd12::40', 'mac', '', 'scope', 'private', 'type', 'ethernet', 'up', true),
                         jsonb_build_object('ip', a.ip, 'mac', '00:15:5d:1a:2b:3c', 'scope', 'private', 'type', 'ethernet', 'up', true)),
       'WindowsServer2022', a.family, 20348, 'ImpairedCommunication', 'Onboarded', 'High', 12, 'Servers', '{PCI}',
       '33333333-3333-4333-8333-333333333333', true,
       '{"provider":"Azure","resource_id":"/r","account":"s","vm_id":"v"}', '2026-11-21 06:15:09.123456Z', '2026-11-21Z', a.state, a.reason, '', 1, 1
from integration i, (values ('%[3]s', 'source-1', 'web01.contoso.com', '10.20.30.40', 'windows_server', 'active', ''),
  ('%[4]s', 'source-2', 'web02.contoso.com', '10.20.30.41', 'bsd', 'out_of_scope', 'excluded')) as a (public_id, source, host, ip, family, state, reason)
where i.tenant_id = %[1]d and i.public_id = '%[2]s';
insert into asset_word (tenant_id, word, asset_id)
select a.tenant_id, w.word, a.id
from asset a, unnest(array[replace(a.hostname, '.', ' ') || ' ', 'contoso com ', 'com ', replace(host(a.primary_ip), '.', ' ') || ' ', 'fd12 40 ']) w (word)
where a.tenant_id = %[1]d;
insert into finding (tenant_id, asset_id, vulnerability_id, software_ids, severity, severity_source, attack_vector, state, first_seen_at, last_seen_at, closed_at, created_at, updated_at)
select %[1]d, a.id, v.id, array[s.id], v.severity, 4, v.attack_vector, case when a.source_id = 'source-1' then 1 else 2 end, '2026-05-14Z',
       case when a.source_id = 'source-1' then null else timestamptz '2026-06-01Z' end,
       case when a.source_id = 'source-1' then null else timestamptz '2026-06-02Z' end, '2026-05-15Z', '2026-06-02Z'
from asset a, vulnerability v, software s where a.tenant_id = %[1]d and v.name in ('CVE-2026-21412', 'TVM-2026-0001') and s.product = 'example_server';
insert into remediation (tenant_id, software_id, vulnerability_id, update_text, update_id, update_url, update_ready)
select %[1]d, s.id, v.id, 'November update', 'KB5044277', 'https://example.com/kb', true
from software s, vulnerability v where v.name = 'CVE-2026-21412' and s.product = 'example_server';
insert into exposure (tenant_id, vulnerability_id, open_assets, severity, first_seen_at)
select %[1]d, id, 1, severity, '2026-05-14Z' from vulnerability where name in ('CVE-2026-21412', 'TVM-2026-0001');`
