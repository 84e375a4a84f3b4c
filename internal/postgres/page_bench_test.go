package postgres_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/tenant"
)

// furnishAssets fills in what an import knows of a machine and seedAssets leaves out, so that a row is as long as it usually is.
const furnishAssets = `
update asset set hostname_raw = upper(hostname), previous_hostnames = '{}', egress_ip = '203.0.113.7', os_platform = 'Windows11', os_version = '23H2', os_build = 22631,
    os_architecture = '64-bit', os_processor = 'x64', health = 'Active', onboarding = 'Onboarded', risk_score = 'Medium', exposure_level = 'High',
    device_value = 'Normal', group_id = 12, aad_device_id = gen_random_uuid(), aad_joined = true, agent_version = '10.8760.22621.3880', managed_by = 'Intune',
    managed_by_status = 'Success', first_seen_at = timestamptz '2025-03-01Z' + id * interval '1 second', open_critical = 3, open_medium = 17,
    cloud = '{"provider":"Azure","resource_id":"/subscriptions/4711/vm","account":"4711","vm_id":"vm"}',
    addresses = jsonb_build_array(jsonb_build_object('ip', host(primary_ip), 'mac', '00:15:5d:1a:2b:3c', 'scope', 'private', 'type', 'Ethernet', 'up', true),
        jsonb_build_object('ip', 'fd12::' || id % 9999, 'mac', '00:15:5d:1a:2b:3c', 'scope', 'private', 'type', 'Ethernet', 'up', true))`

// furnishVulnerabilities does so for the catalogue.
const furnishVulnerabilities = `
update vulnerability set description = 'Summary: a flaw in the handling of objects in memory lets an attacker, who has none of the rights, run "code" of their own. ' ||
    'Impact: a full compromise of the machine.' || chr(10) || 'Remediation: apply the latest patches and updates provided by the respective vendors.',
    severity_word = 'High', score = 8.8, vector = 'CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:U/C:H/I:H/A:H', exploit_types = '{Remote,Local}',
    exploit_uris = '{https://example.com/exploits/51234}', tags = '{test}', supportability = 'Supported', source_updated_at = '2026-06-01 10:11:12.5Z'`

// benchmarkPages gives a tenant 5,000 assets, and exposes it to 2,000 vulnerabilities.
func benchmarkPages(b *testing.B) (*postgres.Store, tenant.ID) {
	return benchmarkTenant(b, func(id tenant.ID) []string {
		return []string{furnishAssets, furnishVulnerabilities, fmt.Sprintf(seedExposures, id, fmt.Sprint(id)), "vacuum analyze"}
	})
}

// BenchmarkAssetPage reads the first page of 50 assets.
func BenchmarkAssetPage(b *testing.B) {
	store, id := benchmarkPages(b)
	benchmarkPage(b, func() (int, error) {
		found, _, err := store.ListAssets(b.Context(), id, inventory.AssetFilter{}, inventory.PageRequest{Limit: 50})
		return len(found), err
	})
}

// BenchmarkVulnerabilityPage reads the first page of 50 vulnerabilities.
func BenchmarkVulnerabilityPage(b *testing.B) {
	store, id := benchmarkPages(b)
	benchmarkPage(b, func() (int, error) {
		found, _, err := store.ListVulnerabilities(b.Context(), id, inventory.VulnerabilityFilter{}, inventory.PageRequest{Limit: 50})
		return len(found), err
	})
}

// benchmarkPage tells, beside the time that a page takes, the processor time that this process takes for it.
func benchmarkPage(b *testing.B, read func() (int, error)) {
	b.ReportAllocs()
	began := processorTime(b)
	for b.Loop() {
		if n, err := read(); err != nil || n != 50 {
			b.Fatal(n, err)
		}
	}
	b.ReportMetric(float64((processorTime(b)-began).Microseconds())/float64(b.N), "cpu-µs/op")
}

func processorTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
