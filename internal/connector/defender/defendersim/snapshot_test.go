package defendersim_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
)

const (
	fullPath    = "/api/machines/SoftwareVulnerabilitiesByMachine"
	changesPath = "/api/machines/SoftwareVulnerabilityChangesByMachine"
	filesPath   = "/api/machines/SoftwareVulnerabilitiesExport"
)

func sixHourly(t *testing.T) *harness {
	t.Helper()
	return start(t, func(c *defendersim.Config) { c.NoQuotas, c.Switches.SixHourSnapshots = true, true })
}

func (h *harness) change(changes ...world.Change) {
	h.t.Helper()
	if err := h.Change(dirID, changes...); err != nil {
		h.t.Fatal(err)
	}
}

func (h *harness) advance(d time.Duration) {
	h.t.Helper()
	if err := h.Advance(d); err != nil {
		h.t.Fatal(err)
	}
}

func TestSnapshotsChangeOnTheGridOnly(t *testing.T) {
	h := sixHourly(t) // it is noon
	h.advance(90 * time.Minute)
	token := h.token()
	before, _ := h.walk(token, fullPath)
	h.change(world.Change{Op: "remove_machines", From: 0, To: 40})
	if list, _ := h.walk(token, "/api/machines"); len(list) != h.machines() {
		t.Errorf("69: the list of machines waits for the snapshot: %d", len(list))
	}
	if rows, _ := h.walk(token, fullPath); len(rows) != len(before) {
		t.Errorf("69: %d rows became %d at once", len(before), len(rows))
	}
	h.advance(4*time.Hour + 29*time.Minute)
	token = h.token()
	if rows, _ := h.walk(token, "/api/vulnerabilities/machinesVulnerabilities"); len(rows) != mapped(before) {
		t.Error("69: mapping rows changed before six o'clock")
	}
	h.advance(time.Minute)
	if rows, _ := h.walk(token, fullPath); len(rows) >= len(before)*3/4 {
		t.Errorf("69: %d rows became %d at six o'clock", len(before), len(rows))
	}
	h.advance(13 * time.Hour)
	if at := h.get(h.token(), filesPath).json(t)["generatedTime"]; at != "2026-03-02T06:00:00Z" {
		t.Errorf("64: generated %v", at)
	}
}

func (h *harness) machines() int { s, _ := h.State(dirID); return s.Len() }

func mapped(rows []map[string]any) (n int) {
	for _, r := range rows {
		if r["cveId"] != nil {
			n++
		}
	}
	return n
}

func TestLiveSnapshotsChangeAtOnce(t *testing.T) {
	h := start(t, func(c *defendersim.Config) { c.NoQuotas = true })
	token := h.token()
	seen := map[any]bool{}
	for i := range 3 {
		seen[h.get(token, filesPath).json(t)["generatedTime"]] = true
		h.change(world.Change{Op: "remove_machines", Machine: &i})
	}
	if len(seen) != 3 {
		t.Errorf("%d generations within a second: %v", len(seen), seen)
	}
}

func TestPagingTokensEnd(t *testing.T) {
	h := start(t, func(c *defendersim.Config) { c.NoQuotas = true })
	full := h.get(h.token(), fullPath+"?pageSize=10").next(t)
	h.change(world.Change{Op: "fix_vulnerability", CVEs: []string{h.someCVE()}}, world.Change{Op: "remove_machines", From: 0, To: 20})
	changes := h.get(h.token(), changesPath+"?pageSize=10&sinceTime=2026-03-01T00:00:00Z").next(t)
	h.advance(23 * time.Hour)
	for _, link := range []string{full, changes} {
		if a := h.get(h.token(), link); a.status != 200 {
			t.Errorf("%s: %d", link, a.status)
		}
		if a := h.get(h.token(), strings.Replace(link, "skiptoken=", "skiptoken=A", 1)); a.status != 400 {
			t.Errorf("62: an altered token: %d", a.status)
		}
	}
	if a := h.get(h.token(), strings.Replace(full, fullPath, changesPath, 1)); a.status != 400 {
		t.Errorf("62: a token of another route: %d", a.status)
	}
	h.advance(2 * time.Hour)
	for _, link := range []string{full, changes} {
		if a := h.get(h.token(), link); a.status != 400 {
			t.Errorf("62: %s after a day: %d", link, a.status)
		}
	}
}

func (h *harness) someCVE() string {
	h.t.Helper()
	return h.get(h.token(), "/api/vulnerabilities?$top=1&$filter=exposedMachines gt 1").rows(h.t)[0]["id"].(string)
}

// key names a row; kept is what the delta promises to tell of it.
func rowKey(r map[string]any) string {
	return fmt.Sprint(r["deviceId"], r["softwareVendor"], r["softwareName"], r["softwareVersion"], r["cveId"])
}

func rowKept(r map[string]any) string {
	b, err := json.Marshal([]any{r["rbacGroupId"], r["rbacGroupName"], r["cvssScore"], r["vulnerabilitySeverityLevel"], r["exploitabilityLevel"], r["diskPaths"],
		r["registryPaths"], r["recommendedSecurityUpdate"], r["recommendedSecurityUpdateId"], r["recommendedSecurityUpdateUrl"], r["firstSeenTimestamp"]})
	if err != nil {
		panic(err)
	}
	return string(b)
}

func held(rows []map[string]any) map[string]string {
	out := map[string]string{}
	for _, r := range rows {
		out[rowKey(r)] = rowKept(r)
	}
	return out
}

// TestDeltaLeadsFromExportToExport follows a directory over random changes as an importer would: a full export, then deltas
// from the time of the last one seen, each batch with what is New winning over what is Fixed.
func TestDeltaLeadsFromExportToExport(t *testing.T) {
	for _, mode := range []string{"live", "6h"} {
		t.Run(mode, func(t *testing.T) {
			h := start(t, func(c *defendersim.Config) { c.NoQuotas, c.Switches.SixHourSnapshots = true, mode == "6h" })
			since := h.get(h.token(), filesPath).json(t)["generatedTime"].(string)
			rows, _ := h.walk(h.token(), fullPath)
			have := held(rows)
			for step := range uint64(8) {
				h.change(world.RandomChanges(step, 8)...)
				h.advance(time.Duration(step%5) * 2 * time.Hour)
				token := h.token()
				delta, _ := h.walk(token, changesPath+"?pageSize=13&sinceTime="+since)
				foldDelta(have, delta)
				since = h.get(token, filesPath).json(t)["generatedTime"].(string)
				rows, _ := h.walk(token, fullPath)
				if want := held(rows); !maps.Equal(have, want) {
					t.Fatalf("68: step %d: %d rows held, %d delivered", step, len(have), len(want))
				}
			}
		})
	}
}

func foldDelta(have map[string]string, delta []map[string]any) {
	when := func(r map[string]any) string {
		return strings.NewReplacer("T", " ", "Z", "").Replace(r["eventTimestamp"].(string))
	}
	slices.SortStableFunc(delta, func(a, b map[string]any) int {
		if byTime := strings.Compare(when(a), when(b)); byTime != 0 {
			return byTime
		}
		return strings.Compare(a["status"].(string), b["status"].(string)) // Fixed, New, Updated
	})
	for _, r := range delta {
		if r["status"] == "Fixed" {
			delete(have, rowKey(r))
			continue
		}
		have[rowKey(r)] = rowKept(r)
	}
}

func TestDeltaParameters(t *testing.T) {
	h := sixHourly(t)
	token := h.token()
	expect(t, h.get(token, changesPath), 400, "MissingRequiredParameter")
	expect(t, h.get(token, changesPath+"?sinceTime=yesterday"), 400, "BadRequest")
	expect(t, h.get(token, changesPath+"?sinceTime=2026-02-15T11:59:59Z"), 400, "BadRequest")
	if rows, _ := h.walk(token, changesPath+"?sinceTime=2026-02-15T12:00:00Z"); len(rows) != 0 {
		t.Errorf("68: %d rows before any change", len(rows))
	}
	for range 3 { // batches of six, of midnight and of six in the morning
		h.change(world.RandomChanges(uint64(h.Now().Unix()), 20)...)
		h.advance(6 * time.Hour)
	}
	count := func(since string) int {
		rows, _ := h.walk(h.token(), changesPath+"?sinceTime="+since)
		return len(rows)
	}
	all, mid, last := count("2026-03-01T12:30:00Z"), count("2026-03-01T23:59:00Z"), count("2026-03-02T00:00:01Z")
	if all <= mid || mid <= last || last == 0 || count("2026-03-01T18:00:01Z") != mid || count("2026-03-02T06:00:00Z") != last || count("2026-03-02T06:00:01Z") != 0 {
		t.Errorf("68: %d, %d, %d rows: batches are not included whole", all, mid, last)
	}
	if top := h.get(h.token(), changesPath+"?$top=2&sinceTime=2026-03-01T12:30:00Z"); len(top.rows(t)) != 2 || top.next(t) != "" {
		t.Error("68: $top")
	}
	if none := h.get(h.token(), changesPath+"?$top=0&sinceTime=2026-03-01T12:30:00Z"); len(none.rows(t)) != 0 {
		t.Error("68: $top=0")
	}
	h.advance(15 * 24 * time.Hour)
	if count(h.Now().Add(-14*24*time.Hour).Format(time.RFC3339)) != 0 {
		t.Error("68: changes are told after 14 days")
	}
}

// TestManyChangesAreJoined checks that a directory without end of changes keeps a bounded history that still leads to the
// present.
func TestManyChangesAreJoined(t *testing.T) {
	h := start(t, func(c *defendersim.Config) {
		c.NoQuotas, c.Directory.Machines, c.Directory.EdgeCases = true, 5, new(bool)
	})
	rows, _ := h.walk(h.token(), fullPath)
	have := held(rows)
	for i := range 300 {
		h.change(world.Change{Op: []string{"remove_machines", "restore_machines"}[i/5%2], Machine: ptr(i % 5)}, world.Change{Op: "change_rows", Pattern: "scattered", Percent: 5})
	}
	delta, _ := h.walk(h.token(), changesPath+"?sinceTime=2026-03-01T11:00:00Z")
	foldDelta(have, delta)
	rows, _ = h.walk(h.token(), fullPath)
	if !maps.Equal(have, held(rows)) {
		t.Error("68: the joined batches do not lead to the present rows")
	}
	times := map[any]bool{}
	for _, r := range delta {
		times[strings.NewReplacer("T", " ", "Z", "").Replace(r["eventTimestamp"].(string))] = true
	}
	if len(times) > 256 {
		t.Errorf("%d batches are kept", len(times))
	}
}

func ptr(n int) *int { return &n }

func TestRatingsReachAllDirectories(t *testing.T) {
	h := start(t, func(c *defendersim.Config) { c.NoQuotas = true })
	other := "11111111-aaaa-4aaa-8aaa-111111111113"
	if err := h.AddDirectory(defendersim.DirectorySpec{ID: other, Machines: 20, Apps: []defendersim.App{goodApp()}}); err != nil {
		t.Fatal(err)
	}
	h.advance(time.Hour)
	cve, since := h.someCVE(), h.Now().Add(-time.Second).Format(time.RFC3339)
	h.change(world.Change{Op: "rate_vulnerability", CVEs: []string{cve}, Severity: "low", AttackVector: "network"}, world.Change{Op: "publish_vulnerability"})
	late := "11111111-aaaa-4aaa-8aaa-111111111114"
	if err := h.AddDirectory(defendersim.DirectorySpec{ID: late, Machines: 20, Apps: []defendersim.App{goodApp()}}); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{dirID, other, late} {
		token := h.form("/" + id + "/oauth2/v2.0/token").json(t)["access_token"].(string)
		rows := h.get(token, "/api/vulnerabilities?$filter=updatedOn gt "+since).rows(t)
		i := slices.IndexFunc(rows, func(v map[string]any) bool { return v["id"] == cve })
		if len(rows) != 2 || i < 0 || rows[i]["severity"] != "Low" || !strings.HasSuffix(rows[i]["description"].(string), "Rated anew.") {
			t.Errorf("directory %s: %d rated since: %.300v", id, len(rows), rows)
		}
	}
}
