package conformance_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var exportStatements = []statement{
	{60, "pages of the export", strict, checkExportPages},
	{61, "top of the export", strict, checkExportTop},
	{62, "skiptoken", optional, checkSkipToken},
	{63, "rows without vulnerability", strict, checkRowsWithoutVulnerability},
	{64, "list of files", strict, checkFileList},
	{65, "files", strict, checkFiles},
	{66, "files that fail", strict, checkFilesThatFail},
	{67, "sinceTime", optional, checkSinceTime},
	{68, "batches of the delta", strict, checkDelta},
	{69, "snapshots of six hours", strict, checkSnapshots},
	{70, "times", strict, checkTimes},
}

const (
	exportPath  = "/api/machines/SoftwareVulnerabilitiesByMachine"
	filesPath   = "/api/machines/SoftwareVulnerabilitiesExport"
	changesPath = "/api/machines/SoftwareVulnerabilityChangesByMachine"
)

func checkExportPages(t *testing.T, d *double) {
	a := d.fresh(t, object{"machines": 1300, "findings_per_machine": 50}, nil)
	token := a.token(t)
	rows, link := d.get(t, token, exportPath).size(t)
	if rows != 50000 {
		t.Errorf("%d rows on a page of default size", rows)
	}
	next, err := url.Parse(link)
	if err != nil || next.Path != exportPath || next.Query().Get("pagesize") == "" || next.Query().Get("$skiptoken") == "" {
		t.Fatalf("next %q, %v", link, err)
	}
	if last, _ := d.get(t, token, link).size(t); last == 0 || last > 50000 {
		t.Errorf("%d rows on the second page", last)
	}
	small := d.fresh(t, nil, nil)
	token = small.token(t)
	before, _ := d.walk(t, token, exportPath)
	begun := d.get(t, token, exportPath+"?pageSize=200").page(t)
	small.alter(t, object{"op": "remove_machines", "from": 0, "to": 30})
	rest, pages := d.walk(t, token, begun.Next)
	if chain := append(begun.Value, rest...); pages < 2 || !same(t, chain, before) {
		t.Errorf("%d rows, then %d on %d pages of a chain that saw a change", len(before), len(begun.Value)+len(rest), pages)
	}
	if after, _ := d.walk(t, token, exportPath); len(after) >= len(before) {
		t.Errorf("a new chain has %d rows, the old one %d", len(after), len(before))
	}
}

// size counts the rows of a large page without decoding them.
func (a answer) size(t *testing.T) (rows int, next string) {
	t.Helper()
	_, next, _ = strings.Cut(string(a.body[max(0, len(a.body)-2000):]), `"@odata.nextLink":"`)
	next, _, _ = strings.Cut(next, `"`)
	if a.status != http.StatusOK || a.broken != nil || !json.Valid(a.body) {
		t.Fatalf("status %d, %v: %.300q", a.status, a.broken, a.body)
	}
	return bytes.Count(a.body, []byte(`{"id":"`)), next
}

func checkExportTop(t *testing.T, d *double) {
	token := d.fresh(t, nil, nil).token(t)
	if p := d.get(t, token, exportPath+"?$top=5").page(t); len(p.Value) != 5 || p.Next != "" {
		t.Errorf("%d rows, next %q", len(p.Value), p.Next)
	}
}

func checkSkipToken(t *testing.T, d *double) {
	a := d.fresh(t, nil, nil)
	next := d.get(t, a.token(t), exportPath+"?pageSize=10").nextLink(t)
	d.get(t, a.token(t), next).want(t, http.StatusOK, "")
	for _, altered := range []string{strings.Replace(next, "skiptoken=", "skiptoken=A", 1), exportPath + "?$skiptoken=abc", next[:len(next)-2]} {
		d.get(t, a.token(t), altered).want(t, http.StatusBadRequest, "BadRequest")
	}
	d.needControl(t)
	d.get(t, d.fresh(t, nil, nil).token(t), next).want(t, http.StatusBadRequest, "BadRequest")
	d.advance(t, 25*time.Hour)
	d.get(t, a.token(t), next).want(t, http.StatusBadRequest, "BadRequest")
}

func checkRowsWithoutVulnerability(t *testing.T, d *double) {
	rows, _ := d.walk(t, d.fresh(t, nil, nil).token(t), exportPath)
	without := is("cveId", nil)
	n := count(rows, without)
	if both := count(rows, func(o object) bool { return without(o) && is("vulnerabilitySeverityLevel", nil)(o) }); n == 0 || both != n || n == len(rows) {
		t.Errorf("%d of %d rows have no cveId, %d of them no severity", n, len(rows), both)
	}
}

// batched are the rows of the delta by batch: what its time says, whichever way it is spelt.
func batched(rows []object) map[string][]object {
	out := map[string][]object{}
	for _, r := range rows {
		when := strings.NewReplacer("T", " ", "Z", "").Replace(r["eventTimestamp"].(string))
		out[when] = append(out[when], r)
	}
	return out
}

// ahead moves the clock to a time after the next one on the six-hour grid.
func (d *double) ahead(t *testing.T, after time.Duration) {
	t.Helper()
	now := d.now(t)
	d.advance(t, now.UTC().Truncate(6*time.Hour).Add(6*time.Hour+after).Sub(now))
}

func since(d *double, t *testing.T, ago time.Duration) string {
	t.Helper()
	return changesPath + "?sinceTime=" + d.now(t).Add(-ago).UTC().Format(time.RFC3339)
}

func checkSinceTime(t *testing.T, d *double) {
	token := d.fresh(t, nil, nil).token(t)
	d.get(t, token, changesPath).want(t, http.StatusBadRequest, "MissingRequiredParameter")
	d.get(t, token, changesPath+"?sinceTime=yesterday").want(t, http.StatusBadRequest, "BadRequest")
	d.get(t, token, since(d, t, 14*24*time.Hour+time.Minute)).want(t, http.StatusBadRequest, "BadRequest")
	if rows := d.get(t, token, since(d, t, 14*24*time.Hour-time.Minute)).rows(t); len(rows) != 0 {
		t.Errorf("%d rows before any change", len(rows))
	}
}

func checkDelta(t *testing.T, d *double) {
	d.turn(t, object{"six_hour_snapshots": true})
	a := d.fresh(t, object{"edge_cases": false, "findings_per_machine": 40}, nil)
	rows, _ := d.walk(t, a.token(t), exportPath)
	machine, group := rows[0]["deviceId"].(string), rows[0]["rbacGroupId"].(float64)
	cve := rows[len(rows)-1]["cveId"].(string)
	a.alter(t, object{"op": "regroup_machine", "machine_id": machine, "group": int(group+1) % 7},
		object{"op": "rate_vulnerability", "cves": []string{cve}})
	d.ahead(t, time.Minute)
	upgraded := rows[len(rows)-1]["deviceId"].(string)
	a.alter(t, object{"op": "upgrade_software", "machine_id": upgraded})
	d.ahead(t, 5*time.Hour)
	delta, _ := d.walk(t, a.token(t), since(d, t, 24*time.Hour)+"&pageSize=7")
	batches := batched(delta)
	if len(batches) != 2 || count(delta, func(o object) bool { _, full := o["securityUpdateAvailable"]; return full }) > 0 {
		t.Fatalf("%d rows in batches %d", len(delta), len(batches))
	}
	last := d.now(t).UTC().Truncate(6 * time.Hour).Format(time.DateTime)
	checkMove(t, slices.DeleteFunc(slices.Clone(delta), func(o object) bool { return o["deviceId"] != machine || o["eventTimestamp"] == last }), group)
	checkUpgrade(t, batches[last], upgraded)
	variety(t, delta, map[string]func(object) bool{
		"Updated": func(o object) bool { return o["status"] == "Updated" && o["cveId"] == cve },
	})
	inside, _ := d.walk(t, a.token(t), since(d, t, 6*time.Hour)) // within the span of the last batch
	if len(inside) != len(batches[last]) {
		t.Errorf("%d rows since a time within a batch of %d", len(inside), len(batches[last]))
	}
}

// checkMove expects that a machine's rows end in the group it left and begin in the other.
func checkMove(t *testing.T, rows []object, left float64) {
	t.Helper()
	states := map[string]string{}
	for _, r := range rows {
		key := strings.Join([]string{r["softwareName"].(string), r["softwareVersion"].(string), r["cveId"].(string)}, "|")
		if fixed := r["status"] == "Fixed"; fixed == (r["rbacGroupId"] == left) && r["status"] != "Updated" {
			states[key] += r["status"].(string)
		}
	}
	doubles := 0
	for _, s := range states {
		if s == "FixedNew" || s == "NewFixed" {
			doubles++
		}
	}
	if doubles == 0 {
		t.Errorf("no row ends in the old group and begins in the new: %v", states)
	}
}

// checkUpgrade expects pairs of an old and a new version with the old firstSeenTimestamp.
func checkUpgrade(t *testing.T, rows []object, machine string) {
	t.Helper()
	fixed, pairs := map[string]object{}, 0
	for _, r := range rows {
		if r["deviceId"] == machine && r["status"] == "Fixed" {
			fixed[r["softwareName"].(string)+r["cveId"].(string)] = r
		}
	}
	for _, r := range rows {
		was := fixed[r["softwareName"].(string)+r["cveId"].(string)]
		if r["deviceId"] != machine || r["status"] != "New" || was == nil {
			continue
		}
		if pairs++; was["softwareVersion"] == r["softwareVersion"] || was["firstSeenTimestamp"] != r["firstSeenTimestamp"] {
			t.Errorf("%v became %v", was, r)
		}
	}
	if len(fixed) == 0 {
		t.Error("the upgrade ended nothing")
	}
	t.Logf("%d rows ended, %d began under the new version", len(fixed), pairs)
}

func checkSnapshots(t *testing.T, d *double) {
	d.turn(t, object{"six_hour_snapshots": true})
	a := d.fresh(t, nil, nil)
	d.ahead(t, 2*time.Hour)
	before, _ := d.walk(t, a.token(t), mappingPath)
	machines, _ := d.walk(t, a.token(t), machinesPath)
	a.alter(t, object{"op": "remove_machines", "from": 0, "to": 30})
	if list, _ := d.walk(t, a.token(t), machinesPath); len(list) != len(machines)-30 {
		t.Errorf("%d machines became %d", len(machines), len(list))
	}
	d.advance(t, 3*time.Hour)
	if rows, _ := d.walk(t, a.token(t), mappingPath); !same(t, rows, before) {
		t.Errorf("%d rows became %d within six hours", len(before), len(rows))
	}
	d.ahead(t, time.Minute)
	if rows, _ := d.walk(t, a.token(t), mappingPath); len(rows) >= len(before) {
		t.Errorf("%d rows became %d after six hours", len(before), len(rows))
	}
}

func checkTimes(t *testing.T, d *double) {
	a := d.fresh(t, nil, nil)
	rows, _ := d.walk(t, a.token(t), exportPath)
	blank, iso := regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{7})?$`), regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$`)
	for _, r := range rows {
		if !blank.MatchString(r["firstSeenTimestamp"].(string)) || !blank.MatchString(r["lastSeenTimestamp"].(string)) {
			t.Fatalf("%v, %v", r["firstSeenTimestamp"], r["lastSeenTimestamp"])
		}
	}
	variety(t, rows, map[string]func(object) bool{"a fraction": holds("firstSeenTimestamp", ".")})
	if generated := d.get(t, a.token(t), filesPath).text(t, "generatedTime"); !iso.MatchString(generated) {
		t.Errorf("generatedTime %q", generated)
	}
	a.alter(t, object{"op": "change_rows", "pattern": "scattered", "percent": 20})
	delta, _ := d.walk(t, a.token(t), since(d, t, time.Hour))
	variety(t, delta, map[string]func(object) bool{
		"ISO time":        func(o object) bool { return iso.MatchString(o["eventTimestamp"].(string)) },
		"time with blank": func(o object) bool { return blank.MatchString(o["eventTimestamp"].(string)) },
	})
}
