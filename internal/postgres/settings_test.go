package postgres

import (
	"net/netip"
	"reflect"
	"testing"

	"pgp.internal/defender/internal/inventory"
)

// TestSettingsAreStoredUnderTheirNames holds the names, which are those of stored documents.
func TestSettingsAreStoredUnderTheirNames(t *testing.T) {
	t.Parallel()
	settings := settingsColumn{
		ImportAssets: true, ImportVulnerabilities: true, MinSeverity: inventory.SeverityHigh, AttackVectors: []inventory.AttackVector{inventory.VectorNetwork},
		UnknownVector: inventory.UnknownExclude, ExcludeUserInteraction: true, MaxAgeDays: 7, RequireFQDN: true, AllowUnderscore: true, IncludeDiscovered: true,
		DeviceGroups: []string{"g"}, TagsInclude: []string{"i"}, TagsExclude: []string{"e"}, IPDeny: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	}
	const want = `{"import_assets":true,"import_vulnerabilities":true,"min_severity":3,"attack_vectors":[1],"unknown_vector":"exclude",` +
		`"exclude_user_interaction":true,"max_age_days":7,"require_fqdn":true,"allow_underscore":true,"include_discovered":true,` +
		`"device_groups":["g"],"tags_include":["i"],"tags_exclude":["e"],"ip_deny":["10.0.0.0/8"]}`
	stored, err := settings.Value()
	if err != nil || stored != want {
		t.Errorf("stored %v, %v\nwant   %s", stored, err, want)
	}
	var back settingsColumn
	if err := back.Scan([]byte(want)); err != nil || !reflect.DeepEqual(back, settings) {
		t.Errorf("read back %+v, %v", back, err)
	}
}
