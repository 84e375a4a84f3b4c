package syncer_test

import (
	"slices"
	"testing"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

const graveDirectory = "5a1e5b0c-0c8e-4d1c-9a52-3f5c1d0e7a0b"

// rated is a house whose tenant imports two directories, the second of one machine. The catalogue does not rate one of the vulnerabilities that both
// have: the rows call it critical there and low elsewhere.
func rated(t *testing.T) (h *house, grave connector.Integration, cve string) {
	t.Helper()
	h = newPlainHouse(t, 12, 20)
	h.addDirectory(plain(spec(graveDirectory, 1, 20)))
	words := &spoiler{next: h.server.Config.Handler}
	h.server.Config.Handler = words
	first := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	grave = h.connectTo(h.tenant, graveDirectory, nil)
	mustSucceed(t, h.work())

	var there []string
	for f := range h.stateOf(graveDirectory).Findings() {
		there = append(there, f.CVE)
	}
	cve = there[slices.IndexFunc(there, func(cve string) bool {
		return h.number(`select open_assets from exposure e join vulnerability v on v.id = vulnerability_id where tenant_id = $1 and name = $2`, h.tenant, cve) > 1
	})]
	machine := h.text(`select source_id from asset where integration_id = (select max(id) from integration)`)
	h.sql(`update vulnerability set severity_word = '', score = null, severity = 0 where name = $1`, cve)
	words.path, words.spoils = "/api/machines/SoftwareVulnerabilitiesByMachine", func(row map[string]any) bool { // none of them, but changes some
		if row["cveId"] == cve {
			row["vulnerabilitySeverityLevel"] = "Low"
			if row["deviceId"] == machine {
				row["vulnerabilitySeverityLevel"] = "Critical"
			}
		}
		return false
	}
	for _, i := range []connector.Integration{first, grave} {
		mustSucceed(t, h.again(i, syncer.Incremental))
	}
	h.mustRate(cve, inventory.SeverityCritical)
	return h, grave, cve
}

func (h *house) mustRate(cve string, want inventory.Severity) {
	h.t.Helper()
	v, err := h.store.Vulnerability(h.t.Context(), h.tenant, cve)
	if err != nil || v.Severity != want {
		h.t.Errorf("%s is %s, want %s; %v", cve, v.Severity, want, err)
	}
	h.mustAudit(h.tenant)
}

// TestTheGravestFindingTakesItsSeverityAlong has the only finding that the rows call critical leave, whatever it leaves with.
func TestTheGravestFindingTakesItsSeverityAlong(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(*house, connector.Integration){
		"its machine is refused": func(h *house, i connector.Integration) {
			h.set(i, func(s *inventory.Settings) { s.TagsInclude = []string{"of nobody"} })
			h.again(i, syncer.Incremental)
		},
		"its import is off": func(h *house, i connector.Integration) {
			h.set(i, noVulnerabilities)
			h.again(i, syncer.Incremental)
		},
		"its integration is purged": func(h *house, i connector.Integration) {
			_, err := h.links.Disconnect(h.t.Context(), h.tenant, i.PublicID, 0, true)
			must(h.t, err)
			h.work()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, grave, cve := rated(t)
			h.t = t
			leave(h, grave)
			h.mustRate(cve, inventory.SeverityLow)
		})
	}
}

// TestAWordOfNoSeverityCounts has Microsoft rate a vulnerability by a word that is none of the four, which its own arithmetic does not replace.
func TestAWordOfNoSeverityCounts(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 6, 10)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	cve := h.truthOf(h.machine(0))[0].CVE
	h.sql(`update vulnerability set severity_word = 'Grave', severity = 0 where name = $1`, cve)
	mustSucceed(t, h.again(i, syncer.Incremental))
	h.mustRate(cve, inventory.SeverityUnknown)
}

// TestTheCatalogueRatesWhatNobodyHasOpen has it change its word for a vulnerability that was fixed everywhere. A full run follows.
func TestTheCatalogueRatesWhatNobodyHasOpen(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 6, 10)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	cve := h.truthOf(h.machine(0))[0].CVE
	h.change(world.Change{Op: "fix_vulnerability", CVEs: []string{cve}})
	mustSucceed(t, h.again(i, syncer.Incremental))
	h.sql(`update vulnerability set severity_word = case severity when 1 then 'Critical' else 'Low' end, severity = case severity when 1 then 4 else 1 end where name = $1`, cve)
	mustSucceed(t, h.again(i, syncer.Full))
	h.mustRate(cve, inventory.Severity(h.number(`select severity from vulnerability where name = $1`, cve)))
}
