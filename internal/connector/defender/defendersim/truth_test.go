package defendersim_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
)

// classify is a second, much simpler reading of vectors, good enough for the ordinary ones.
func classify(v map[string]any) string {
	vector, _ := v["cvssVector"].(string)
	for text, class := range map[string]string{"/AV:N/": "", "/AV:A/": "", "/AV:L/": "vector_local", "/AV:P/": "vector_physical"} {
		if strings.Contains(vector, text) {
			return class
		}
	}
	if v["severity"] == "High" || v["severity"] == "Critical" {
		return ""
	}
	return "vector_unknown"
}

// recount is what a small importer of its own makes of what the API delivers, edge cases aside.
type recount struct {
	assets, rows, accepted int
	skipped, bySeverity    map[string]int
	findings, cves         map[string]bool
}

func (h *harness) recount() recount {
	h.t.Helper()
	token := h.token()
	class, severity := map[string]string{}, map[string]string{}
	list, _ := h.walk(token, "/api/vulnerabilities")
	for _, v := range list {
		class[v["id"].(string)] = classify(v)
		severity[v["id"].(string)], _ = v["severity"].(string)
	}
	asset := h.survivors(token)
	rows, _ := h.walk(token, fullPath+"?pageSize=1000")
	n := recount{rows: len(rows), skipped: map[string]int{}, bySeverity: map[string]int{}, findings: map[string]bool{}, cves: map[string]bool{}}
	for id, own := range asset {
		if id == own {
			n.assets++
		}
	}
	for _, r := range rows {
		cve, on := r["cveId"].(string), asset[r["deviceId"].(string)]
		if on == "" {
			n.skipped["asset_not_imported"]++
			continue
		}
		if reason := class[cve]; reason != "" {
			n.skipped[reason]++
			continue
		}
		n.accepted++
		n.cves[cve] = true
		if key := on + cve; !n.findings[key] {
			n.findings[key] = true
			n.bySeverity[strings.ToLower(severity[cve])]++
		}
	}
	return n
}

// survivors maps each machine to the accepted one that its rows count for.
func (h *harness) survivors(token string) map[string]string {
	h.t.Helper()
	list, _ := h.walk(token, "/api/machines")
	byID, out := map[string]map[string]any{}, map[string]string{}
	for _, m := range list {
		byID[m["id"].(string)] = m
	}
	for id := range byID {
		to := id
		for range byID { // no longer than that without a circle
			if next, merged := byID[to]["mergedIntoMachineId"].(string); merged {
				to = next
			}
		}
		m := byID[to]
		if m == nil || m["mergedIntoMachineId"] != nil || m["isExcluded"] != false || m["onboardingStatus"] != "Onboarded" ||
			m["lastSeen"].(string) < h.Now().AddDate(0, 0, -30).Format(time.RFC3339) {
			continue
		}
		out[id] = to
	}
	return out
}

// TestTruthMatchesContent recounts a directory of ordinary records, as it was laid out and after random changes.
func TestTruthMatchesContent(t *testing.T) {
	for _, changes := range []int{0, 60, 200} {
		t.Run(fmt.Sprint(changes), func(t *testing.T) {
			h := start(t, func(c *defendersim.Config) {
				findings := 40
				c.NoQuotas, c.Directory.EdgeCases, c.Directory.Machines, c.Directory.FindingsPerMachine = true, new(bool), 120, &findings
			})
			h.advance(40 * 24 * time.Hour) // machines go on reporting
			h.change(world.RandomChanges(uint64(changes), changes)...)
			state, _ := h.State(dirID)
			h.recount().compare(t, state.Truth())
		})
	}
}

func (n recount) compare(t *testing.T, truth *world.Truth) {
	t.Helper()
	if truth.Machines.Accepted != n.assets || truth.Rows.Fetched != n.rows || truth.Rows.Accepted != n.accepted || truth.Findings.Total != len(n.findings) ||
		truth.Vulnerabilities != len(n.cves) {
		t.Errorf("truth %+v; recounted %d assets, %d rows, %d accepted, %d findings, %d vulnerabilities", truth, n.assets, n.rows, n.accepted, len(n.findings), len(n.cves))
	}
	if n.accepted == len(n.findings) {
		t.Error("no finding has two rows")
	}
	if !maps.Equal(truth.Rows.Skipped, n.skipped) {
		t.Errorf("skipped: truth %v, recounted %v", truth.Rows.Skipped, n.skipped)
	}
	for word, count := range truth.Findings.BySeverity {
		if n.bySeverity[word] != count {
			t.Errorf("%s: truth %d, recounted %d", word, count, n.bySeverity[word])
		}
	}
}

// TestTruthCountsWhatIsDelivered checks the totals of a directory with edge cases against the wire, by both routes.
func TestTruthCountsWhatIsDelivered(t *testing.T) {
	h := start(t, nil)
	token := h.token()
	state, _ := h.State(dirID)
	truth := state.Truth()
	machines, _ := h.walk(token, "/api/machines")
	rows, _ := h.walk(token, "/api/machines/SoftwareVulnerabilitiesByMachine")
	mapping, _ := h.walk(token, "/api/vulnerabilities/machinesVulnerabilities")
	if len(machines) != truth.Machines.Fetched || len(rows) != truth.Rows.Fetched || len(rows)-truth.Rows.Skipped["cve_missing"] != len(mapping) {
		t.Errorf("%d machines, %d rows, %d mapping rows; truth %+v", len(machines), len(rows), len(mapping), truth)
	}
	distinct := map[string]bool{}
	for _, id := range column(machines, "id") {
		distinct[id] = true
	}
	if len(machines)-len(distinct) != truth.Machines.Skipped["duplicate"] || truth.Machines.Skipped["duplicate"] != 2 {
		t.Errorf("%d ids come twice, truth says %d", len(machines)-len(distinct), truth.Machines.Skipped["duplicate"])
	}
	again, _ := h.walk(token, "/api/machines")
	a, _ := json.Marshal(machines)
	b, _ := json.Marshal(again)
	if string(a) != string(b) {
		t.Error("two pulls differ")
	}
}

func BenchmarkExportOverHTTP(b *testing.B) {
	findings := 40
	sim := defendersim.New(defendersim.Config{NoQuotas: true, Directory: &defendersim.DirectorySpec{ID: dirID, Machines: 5000,
		FindingsPerMachine: &findings, Apps: []defendersim.App{goodApp()}}})
	state, _ := sim.State(dirID)
	token := tokenFrom(b, sim)
	handler := sim.Handler()
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest("GET", "/api/machines/SoftwareVulnerabilitiesByMachine?pageSize=200000", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := &discard{header: map[string][]string{}}
		handler.ServeHTTP(w, r)
		if w.status != 200 {
			b.Fatal(w.status)
		}
	}
	b.ReportMetric(float64(b.N*state.Truth().Rows.Fetched)/b.Elapsed().Seconds(), "rows/s")
}
