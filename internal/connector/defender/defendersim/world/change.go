package world

// Change is one step in the life of a directory. Machines are named by MachineID or, plain ones, by Machine, their number
// in [0, Spec.Machines).
type Change struct {
	// Op is one of those that follow. add_machines (Count of them, or MachineID, 40 hex digits) gives new machines the
	// numbers from Spec.Machines on. remove_machines, restore_machines (From ≤ number < To, or MachineID), exclude_machine, include_machine,
	// merge_machine (into Into), unmerge_machine, touch_machine (LastSeenDaysAgo), rename_machine (Hostname, a valid DNS name
	// in any case), readdress_machine (IP, a usable address), remove_findings, restore_findings, add_findings (CVEs of one
	// machine; remove with no CVEs removes all), fix_vulnerability, unfix_vulnerability (CVEs on all machines), change_rows
	// (Percent of them, by Pattern: other software versions behind the same findings; another share each time), replace_findings
	// (Percent of them, by Pattern: each is no longer found, and another vulnerability of the same software is, if it has one more).
	//
	// reimage_machine (a new id under the same name; the old one inactive), offboard_machine, onboard_machine,
	// regroup_machine (Group, its number). Of one machine's Software, vendor/name or "" for that of its first row:
	// upgrade_software (to the next release, which has fewer of its vulnerabilities), patch_software (to one that has
	// none), rollback_software (all of that undone; "" means all software), move_software (to another disk).
	//
	// rate_vulnerability (CVEs; Severity and AttackVector in words, "" for any other than now, chosen by Seed), classify_vulnerability
	// (CVEs; AttackVector as before, severity and score stay, so that no row tells of it) and publish_vulnerability (CVEs names it, else an id is made up; of Software, else of a product chosen by Seed) change
	// Microsoft's catalogue and with it every directory. drift is Count plausible changes of all these kinds, by Seed.
	Op              string   `json:"op"`
	Machine         *int     `json:"machine,omitempty"`
	MachineID       string   `json:"machine_id,omitempty"`
	From            int      `json:"from,omitempty"`
	To              int      `json:"to,omitempty"`
	Into            *int     `json:"into,omitempty"`
	CVEs            []string `json:"cves,omitempty"`
	LastSeenDaysAgo int      `json:"last_seen_days_ago,omitempty"`
	Hostname        string   `json:"hostname,omitempty"`
	IP              string   `json:"ip,omitempty"`
	Pattern         string   `json:"pattern,omitempty"` // clustered: all rows or findings of that share of machines; scattered: that share of all
	Percent         float64  `json:"percent,omitempty"` // 0 means 1
	Group           *int     `json:"group,omitempty"`
	Software        string   `json:"software,omitempty"`
	Severity        string   `json:"severity,omitempty"`      // low, medium, high, critical
	AttackVector    string   `json:"attack_vector,omitempty"` // network, adjacent, local, physical, unknown
	Count           int      `json:"count,omitempty"`         // 0 means 1
	Seed            uint64   `json:"seed,omitempty"`
}
