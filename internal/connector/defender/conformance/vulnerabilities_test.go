package conformance_test

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var vulnerabilityStatements = []statement{
	{50, "whole catalogue", strict, checkCatalogue},
	{51, "filters of vulnerabilities", optional, checkVulnerabilityFilters},
	{52, "vectors", strict, checkVectors},
	{53, "odd vulnerabilities", strict, checkOddVulnerabilities},
	{54, "mapping", strict, checkMapping},
	{55, "row only a filter finds", optional, checkHiddenRow},
	{56, "rows of unknown machines and vulnerabilities", strict, checkStrangers},
	{57, "machineReferences", strict, checkReferences},
	{58, "vulnerabilities of a machine", strict, checkVulnerabilitiesOfMachine},
	{59, "routes of other permissions", strict, checkOtherPermissions},
}

const (
	vulnerabilitiesPath = "/api/vulnerabilities"
	mappingPath         = "/api/vulnerabilities/machinesVulnerabilities"
)

func checkCatalogue(t *testing.T, d *double) {
	token := d.fresh(t, nil, nil).token(t)
	first := d.get(t, token, vulnerabilitiesPath).page(t)
	if len(first.Value) > 8000 || (first.Next != "" && !strings.HasSuffix(first.Next, vulnerabilitiesPath+"?$skip=8000")) {
		t.Errorf("%d rows, next %q", len(first.Value), first.Next)
	}
	unexposed := count(first.Value, is("exposedMachines", 0.0))
	if exposed := len(first.Value) - unexposed; exposed == 0 || unexposed < exposed/4 {
		t.Errorf("%d vulnerabilities are on machines, %d on none", exposed, unexposed)
	}
	if top := d.get(t, token, vulnerabilitiesPath+"?$top=8000").page(t); top.Next != "" {
		t.Errorf("$top carries a next link %q", top.Next)
	}
	d.get(t, token, vulnerabilitiesPath+"?$top=8001").want(t, http.StatusBadRequest, "ODataError")
	one := d.get(t, token, vulnerabilitiesPath+"/"+first.Value[5]["id"].(string)).want(t, http.StatusOK, "").object(t)
	delete(one, "@odata.context")
	if !same(t, one, first.Value[5]) {
		t.Errorf("one object differs from its row: %v", one)
	}
	d.get(t, token, vulnerabilitiesPath+"/CVE-1999-0001").want(t, http.StatusNotFound, "ResourceNotFound")
}

func checkVulnerabilityFilters(t *testing.T, d *double) {
	a := d.fresh(t, nil, nil)
	token := a.token(t)
	rows, _ := d.walk(t, token, vulnerabilitiesPath)
	id := rows[9]["id"].(string)
	score := func(test func(float64) bool) int {
		return count(rows, func(o object) bool { n, ok := o["cvssV3"].(float64); return ok && test(n) })
	}
	for filter, want := range map[string]int{
		"id eq '" + id + "'": 1, "name eq '" + id + "'": 1, "id ne '" + id + "'": len(rows) - 1,
		"severity eq 'Critical'":              count(rows, is("severity", "Critical")),
		"cvssV3 ge 9":                         score(func(n float64) bool { return n >= 9 }),
		"cvssV3 gt 4 and cvssV3 lt 7":         score(func(n float64) bool { return n > 4 && n < 7 }),
		"publishedOn gt 2000-01-01T00:00:00Z": count(rows, func(o object) bool { s, _ := o["publishedOn"].(string); return s > "2000" }),
		"contains(description,'Firefox')":     count(rows, holds("description", "Firefox")),
		"exposedMachines gt 0":                len(rows) - count(rows, is("exposedMachines", 0.0)),
	} {
		if got, _ := d.walk(t, token, vulnerabilitiesPath+"?$filter="+filter); len(got) != want || want == 0 {
			t.Errorf("%s: %d rows, want %d", filter, len(got), want)
		}
	}
	for _, bad := range []string{"updatedAt gt 2026-01-01Z", "cvssVector eq ''", "publicExploit eq true", "epss gt 0"} {
		d.get(t, token, vulnerabilitiesPath+"?$filter="+bad).want(t, http.StatusBadRequest, "ODataError")
	}
	d.turn(t, object{"refuse_exposed_filter": true})
	d.get(t, token, vulnerabilitiesPath+"?$filter=exposedMachines gt 0").want(t, http.StatusBadRequest, "ODataError")
	rated := "updatedOn gt " + d.now(t).Add(-time.Second).UTC().Format(time.RFC3339)
	if got := d.get(t, token, vulnerabilitiesPath+"?$filter="+rated).rows(t); len(got) != 0 {
		t.Errorf("%d are rated already", len(got))
	}
	a.alter(t, object{"op": "rate_vulnerability", "cves": []string{id}})
	if got := d.get(t, token, vulnerabilitiesPath+"?$filter="+rated).rows(t); len(got) != 1 || got[0]["id"] != id {
		t.Errorf("%d are rated since", len(got))
	}
}

func remote(o object) bool {
	list, _ := o["exploitTypes"].([]any)
	return slices.Contains(list, any("Remote"))
}

func checkVectors(t *testing.T, d *double) {
	rows, _ := d.walk(t, d.fresh(t, nil, nil).token(t), vulnerabilitiesPath)
	variety(t, rows, map[string]func(object) bool{
		"3.0": holds("cvssVector", "CVSS:3.0/"), "3.1": holds("cvssVector", "CVSS:3.1/"), "4.0": holds("cvssVector", "CVSS:4.0/"), "none": is("cvssVector", ""),
		"N": holds("cvssVector", "/AV:N/"), "A": holds("cvssVector", "/AV:A/"), "L": holds("cvssVector", "/AV:L/"), "P": holds("cvssVector", "/AV:P/"),
		"Remote, yet AV:L":     func(o object) bool { return remote(o) && holds("cvssVector", "/AV:L/")(o) },
		"AV:N, yet not Remote": func(o object) bool { return !remote(o) && holds("cvssVector", "/AV:N/")(o) },
	})
}

func checkOddVulnerabilities(t *testing.T, d *double) {
	res := d.get(t, d.fresh(t, nil, nil).token(t), vulnerabilitiesPath)
	if !regexp.MustCompile(`"cvssV3":\d+,`).Match(res.body) || !regexp.MustCompile(`"cvssV3":\d\.\d,`).Match(res.body) {
		t.Error("not both kinds of numbers in cvssV3")
	}
	variety(t, res.rows(t), map[string]func(object) bool{
		"EPSS 0": is("epss", 0.0), "EPSS": func(o object) bool { n, _ := o["epss"].(float64); return n > 0 && n < 1 },
		"no EPSS": func(o object) bool { _, ok := o["epss"]; return !ok }, "not detected": is("firstDetected", nil),
		"year 1": is("publishedOn", "0001-01-01T00:00:00Z"), "TVM id": holds("id", "TVM-"), "no supportability": is("cveSupportability", ""),
	})
}

func checkMapping(t *testing.T, d *double) {
	a := d.fresh(t, object{"machines": 250, "findings_per_machine": 60}, nil)
	token := a.token(t)
	first := d.get(t, token, mappingPath)
	if next := first.nextLink(t); first.object(t)["@odata.count"] != 10000.0 || len(first.rows(t)) != 10000 || !strings.HasSuffix(next, mappingPath+"?$skip=10000") {
		t.Fatalf("count %v, next %q", first.object(t)["@odata.count"], next)
	}
	rows, _ := d.walk(t, token, mappingPath)
	seen, fixes, kb := map[string]bool{}, 0, regexp.MustCompile(`^\d+$`)
	for _, r := range rows {
		text, _ := r["fixingKbId"].(string)
		if r["fixingKbId"] != nil {
			if fixes++; !kb.MatchString(text) {
				t.Fatalf("KB %q", text)
			}
		}
		want := strings.Join([]string{r["machineId"].(string), r["cveId"].(string), r["productVendor"].(string), r["productName"].(string),
			r["productVersion"].(string), text}, "-_-")
		if r["id"] != want || seen[want] || len(r) != 8 {
			t.Fatalf("row %v, want id %s, seen %t", r, want, seen[want])
		}
		seen[want] = true
	}
	if fixes == 0 || fixes == len(rows) {
		t.Errorf("%d of %d rows name a KB", fixes, len(rows))
	}
	for _, name := range []string{"id", "cveId", "machineId", "productName", "productVersion", "severity", "productVendor"} {
		value := rows[100][name]
		got, _ := d.walk(t, token, mappingPath+"?$filter="+name+" eq '"+value.(string)+"'")
		if want := count(rows, is(name, value)); len(got) != want {
			t.Errorf("%s %v: %d rows, want %d", name, value, len(got), want)
		}
	}
	if got, _ := d.walk(t, token, mappingPath+"?$filter=fixingKbId ne null"); len(got) != fixes {
		t.Errorf("fixingKbId: %d rows, want %d", len(got), fixes)
	}
	d.get(t, token, mappingPath+"?$filter=cvssScore gt 1").want(t, http.StatusBadRequest, "ODataError")
	d.get(t, token, mappingPath+"?$top=10001").want(t, http.StatusBadRequest, "ODataError")
}

func checkHiddenRow(t *testing.T, d *double) {
	token := d.fresh(t, nil, nil).token(t)
	whole, _ := d.walk(t, token, mappingPath)
	d.turn(t, object{"hide_unfiltered": true})
	rest, _ := d.walk(t, token, mappingPath)
	left := map[string]bool{}
	for _, id := range texts(rest, "id") {
		left[id] = true
	}
	i := slices.IndexFunc(whole, func(o object) bool { return !left[o["id"].(string)] })
	if i < 0 || len(rest) < len(whole)/2 {
		t.Fatalf("%d of %d rows are shown", len(rest), len(whole))
	}
	found := d.get(t, token, mappingPath+"?$filter=machineId eq '"+whole[i]["machineId"].(string)+"'").rows(t)
	if !slices.Contains(texts(found, "id"), whole[i]["id"].(string)) {
		t.Errorf("the filter does not find %v either", whole[i]["id"])
	}
}

func checkStrangers(t *testing.T, d *double) {
	token := d.fresh(t, nil, nil).token(t)
	known := map[string]bool{}
	for _, path := range []string{machinesPath, vulnerabilitiesPath} {
		rows, _ := d.walk(t, token, path)
		for _, id := range texts(rows, "id") {
			known[strings.ToLower(id)] = true
		}
	}
	rows, _ := d.walk(t, token, mappingPath)
	variety(t, rows, map[string]func(object) bool{
		"unknown machine":       func(o object) bool { return !known[strings.ToLower(o["machineId"].(string))] },
		"unknown vulnerability": func(o object) bool { return !known[strings.ToLower(o["cveId"].(string))] },
	})
}

func checkReferences(t *testing.T, d *double) {
	token := d.fresh(t, nil, nil).token(t)
	v := d.get(t, token, vulnerabilitiesPath+"?$top=1&$filter=exposedMachines gt 1").rows(t)[0]
	rows := d.get(t, token, vulnerabilitiesPath+"/"+v["id"].(string)+"/machineReferences").rows(t)
	if exposed := v["exposedMachines"].(float64); len(rows) == 0 || float64(len(rows)) > exposed { // exposed may be machines that no list holds
		t.Fatalf("%d references, %v exposed machines", len(rows), exposed)
	}
	if got := strings.Join(keys(rows[0]), " "); got != "computerDnsName id osPlatform rbacGroupName" {
		t.Errorf("members %s", got)
	}
	d.get(t, token, vulnerabilitiesPath+"/CVE-1999-0001/machineReferences").want(t, http.StatusNotFound, "ResourceNotFound")
}

func checkVulnerabilitiesOfMachine(t *testing.T, d *double) {
	a := d.fresh(t, nil, nil)
	token := a.token(t)
	mapping, _ := d.walk(t, token, mappingPath)
	machine := mapping[len(mapping)/2]["machineId"].(string)
	res := d.get(t, token, machinesPath+"/"+machine+"/vulnerabilities")
	rows, o := res.rows(t), res.object(t)
	if o["@odata.count"] != float64(len(rows)) || !strings.HasSuffix(o["@odata.context"].(string), "#Vulnerabilities/microsoft.windowsDefenderATP.api.PublicVulnerabilityDto") {
		t.Errorf("%d rows, count %v, context %v", len(rows), o["@odata.count"], o["@odata.context"])
	}
	if n := count(rows, is("@odata.type", "#microsoft.windowsDefenderATP.api.PublicVulnerabilityDto")); n != len(rows) || n == 0 {
		t.Errorf("%d of %d rows have their type", n, len(rows))
	}
	for _, id := range texts(rows, "id") {
		if !slices.ContainsFunc(mapping, func(o object) bool { return o["machineId"] == machine && o["cveId"] == id }) {
			t.Errorf("%s is not in the mapping", id)
		}
	}
	checkOrderAndEmpty(t, d, token, mapping)
	for range 28 { // 22 calls were made
		d.get(t, token, machinesPath+"/"+machine+"/vulnerabilities").want(t, http.StatusOK, "")
	}
	d.get(t, token, machinesPath+"/"+machine+"/vulnerabilities").want(t, http.StatusTooManyRequests, "TooManyRequests")
}

// checkOrderAndEmpty looks at the lists of 20 machines with findings and of one without, in 21 calls.
func checkOrderAndEmpty(t *testing.T, d *double, token string, mapping []object) {
	t.Helper()
	assessed := map[string]bool{}
	for _, id := range texts(mapping, "machineId") {
		assessed[strings.ToLower(id)] = true
	}
	machines, _ := d.walk(t, token, machinesPath)
	sorted, asked, empty := true, 0, ""
	for _, id := range texts(machines, "id") {
		if !assessed[id] {
			empty = id
			continue
		}
		if asked++; asked <= 20 {
			sorted = slices.IsSorted(texts(d.get(t, token, machinesPath+"/"+id+"/vulnerabilities").rows(t), "id")) && sorted
		}
	}
	if sorted {
		t.Error("all lists are sorted")
	}
	res := d.get(t, token, machinesPath+"/"+empty+"/vulnerabilities")
	if rows := res.rows(t); len(rows) != 0 || res.object(t)["@odata.count"] != 0.0 {
		t.Errorf("%d rows of a machine that is not assessed", len(rows))
	}
}

func checkOtherPermissions(t *testing.T, d *double) {
	token := d.fresh(t, nil, nil).token(t)
	for path, role := range map[string]string{
		"/api/recommendations": "SecurityRecommendation.Read.All", "/api/recommendations/va-_-git-_-git": "SecurityRecommendation.Read.All",
		"/api/recommendations/va-_-git-_-git/machineReferences": "SecurityRecommendation.Read.All", "/api/Software": "Software.Read.All",
		"/api/Software/git-_-git": "Software.Read.All", "/api/remediationTasks": "RemediationTasks.Read.All", "/api/exposureScore": "Score.Read.All",
		machinesPath + "/" + strings.Repeat("0", 40) + "/getmissingkbs":   "Software.Read.All",
		machinesPath + "/" + strings.Repeat("0", 40) + "/recommendations": "SecurityRecommendation.Read.All",
	} {
		res := d.get(t, token, path).want(t, http.StatusForbidden, "Forbidden")
		if !strings.Contains(res.text(t, "error.message"), role) {
			t.Errorf("%s: %s", path, res.body)
		}
	}
	for _, path := range []string{"/api/recommendations/va-_-git-_-git/vulnerabilities", "/api/Software/git-_-git/vulnerabilities"} {
		if res := d.get(t, token, path); res.status == http.StatusForbidden {
			t.Errorf("%s: Vulnerability.Read.All opens it", path)
		}
	}
}
