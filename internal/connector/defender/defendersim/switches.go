package defendersim

import (
	"fmt"
	"maps"
)

// Switches turn on behaviour that was seen but is not the rule, or that is not established.
type Switches struct {
	OmitErrorTarget      bool        `json:"omit_error_target"`      // error bodies without target
	EmptyUnauthorized    bool        `json:"empty_unauthorized"`     // 401 for a bad token without a body
	LegacyForbidden      bool        `json:"legacy_forbidden"`       // the 2021 wording of 403 on vulnerability routes
	ExtraFields          bool        `json:"extra_fields"`           // properties nobody knows
	ClampTop             bool        `json:"clamp_top"`              // $top above the maximum is cut instead of refused
	ExactPaths           bool        `json:"exact_paths"`            // paths in another case than Microsoft's pages write are unknown
	DocumentedLimitsOnly bool        `json:"documented_limits_only"` // no call limit on routes whose page names none
	XDRAudienceAccepted  bool        `json:"xdr_audience_accepted"`  // tokens for Defender XDR carry the roles, too
	MissingSecret7000218 bool        `json:"missing_secret_7000218"` // a token request without a secret is refused with this number, not 7000216
	EntraStatus          map[int]int `json:"entra_status"`           // HTTP status of refusals by AADSTS number, where it is not established
	LinkHost             string      `json:"link_host"`              // links and contexts name this host, such as eu.api.security.microsoft.com, not the one asked
	RefuseExposedFilter  bool        `json:"refuse_exposed_filter"`  // 400 for exposedMachines in $filter
	SixHourSnapshots     bool        `json:"six_hour_snapshots"`     // changes reach mapping data, exports and files at 0, 6, 12 and 18 o'clock UTC only, not at once
	HideUnfiltered       bool        `json:"hide_unfiltered"`        // one of about fifty rows of machinesVulnerabilities is delivered under a $filter only
	MutatePages          bool        `json:"mutate_pages"`           // a machine leaves or comes back after each page of machines that has a next one
	BlobHost             string      `json:"blob_host"`              // addresses of export files name this host, such as example.blob.core.windows.net
	ListPage             int         `json:"list_page"`              // most records of a page of machines, vulnerabilities or machinesVulnerabilities; 0 means Microsoft's figures
}

// Switch sets all switches, for requests that begin from now on. A status in EntraStatus that is no refusal's is an error, and so is
// a page without room for a record.
func (s *Simulator) Switch(to Switches) error {
	to.EntraStatus = maps.Clone(to.EntraStatus)
	for code, status := range to.EntraStatus {
		if status < 400 || status > 599 {
			return fmt.Errorf("status %d of AADSTS%d is outside 400..599", status, code)
		}
	}
	if to.ListPage < 0 {
		return fmt.Errorf("a page of %d records has room for none", to.ListPage)
	}
	s.live.Store(&to)
	return nil
}

// listPage is how many records a page of a list holds of which Microsoft's hold so many.
func (s *Simulator) listPage(microsofts int) int {
	if own := s.switches().ListPage; own > 0 {
		return min(own, microsofts)
	}
	return microsofts
}

// switches are those in force. A request that asks twice may see two settings when they are changed in between.
func (s *Simulator) switches() Switches { return *s.live.Load() }
