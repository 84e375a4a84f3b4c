package postgres

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"net/netip"

	"pgp.internal/defender/internal/inventory"
)

// settingsColumn stores settings as a document.
type settingsColumn inventory.Settings

// settingsDocument has the fields of [inventory.Settings], which converts to it and back as long as both agree by name and
// type: a field that is added, renamed or moved there does not compile until it is so here, under a name that is stored.
type settingsDocument struct {
	ImportAssets           bool                          `json:"import_assets"`
	ImportVulnerabilities  bool                          `json:"import_vulnerabilities"`
	MinSeverity            inventory.Severity            `json:"min_severity"`
	AttackVectors          []inventory.AttackVector      `json:"attack_vectors"`
	UnknownVector          inventory.UnknownVectorPolicy `json:"unknown_vector"`
	ExcludeUserInteraction bool                          `json:"exclude_user_interaction"`
	MaxAgeDays             int                           `json:"max_age_days"`
	RequireFQDN            bool                          `json:"require_fqdn"`
	AllowUnderscore        bool                          `json:"allow_underscore"`
	IncludeDiscovered      bool                          `json:"include_discovered"`
	DeviceGroups           []string                      `json:"device_groups,omitempty"`
	TagsInclude            []string                      `json:"tags_include,omitempty"`
	TagsExclude            []string                      `json:"tags_exclude,omitempty"`
	IPDeny                 []netip.Prefix                `json:"ip_deny,omitempty"`
}

// Value implements [driver.Valuer].
func (c settingsColumn) Value() (driver.Value, error) {
	body, err := json.Marshal(settingsDocument(c))
	return string(body), err // bytes would be sent as PostgreSQL's binary form
}

// Scan implements [database/sql.Scanner].
func (c *settingsColumn) Scan(src any) error {
	body, ok := src.([]byte)
	if !ok {
		return fmt.Errorf("settings: unexpected %T", src)
	}
	var d settingsDocument
	if err := json.Unmarshal(body, &d); err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	*c = settingsColumn(d)
	return nil
}
