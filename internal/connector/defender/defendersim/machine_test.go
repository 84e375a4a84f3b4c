package defendersim_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgp.internal/defender/internal/connector/defender/defendersim"
)

func TestMachinePaging(t *testing.T) {
	h := start(t, func(c *defendersim.Config) {
		c.Directory.Machines = 10050
		c.Directory.EdgeCases = new(bool)
	})
	token := h.token()
	_, next := h.get(token, "/api/v1.0/machines?$filter=healthStatus eq 'Active'").ids(t)
	if !strings.HasSuffix(next, "/api/v1.0/machines?$filter=healthStatus%20eq%20%27Active%27&$skip=10000") {
		t.Fatalf("37: next %q", next)
	}
	ids, next := h.get(token, "/api/machines").ids(t)
	if len(ids) != 10000 {
		t.Fatalf("37: %d rows", len(ids))
	}
	rest, end := h.get(token, next).ids(t)
	if len(rest) != 50 || end != "" {
		t.Fatalf("37: %d rows on the last page, next %q", len(rest), end)
	}
	ids = append(ids, rest...)
	if !slices.IsSorted(ids) || len(slices.Compact(slices.Clone(ids))) != 10050 {
		t.Error("42: not sorted by id, or an id repeats")
	}
	if top, next := h.get(token, "/api/machines?$top=100").ids(t); len(top) != 100 || next != "" {
		t.Errorf("38: %d rows, next %q", len(top), next)
	}
	mid := h.get(token, "/api/machines?$top=3&$skip=500").rows(t)
	if !slices.Equal(column(mid, "id"), ids[500:503]) {
		t.Error("38: $skip does not lead to the same rows")
	}
	if beyond, next := h.get(token, "/api/machines?$skip=20000").ids(t); len(beyond) != 0 || next != "" {
		t.Error("40: rows beyond the end")
	}
}

func column(rows []map[string]any, name string) []string {
	out := make([]string, len(rows))
	for i, r := range rows {
		out[i], _ = r[name].(string)
	}
	return out
}

func TestMachineFilters(t *testing.T) {
	h := start(t, nil)
	token := h.token()
	all, _ := h.walk(token, "/api/machines")
	count := func(keep func(m map[string]any) bool) (n int) {
		for _, m := range all {
			if keep(m) {
				n++
			}
		}
		return n
	}
	id := all[7]["id"].(string)
	tests := []struct {
		filter string
		want   int
	}{
		{"healthStatus eq 'Active'", count(func(m map[string]any) bool { return m["healthStatus"] == "Active" })},
		{"healthStatus ne 'Active'", count(func(m map[string]any) bool { return m["healthStatus"] != "Active" })},
		{"id eq '" + id + "'", 1},
		{"id gt '" + id + "'", len(all) - 8},
		{"id in ('" + id + "','nope')", 1},
		{"not (id eq '" + id + "')", len(all) - 1},
		{"osPlatform eq 'iOS' or osPlatform eq 'Android' and healthStatus eq 'Active'",
			count(func(m map[string]any) bool { return m["osPlatform"] == "iOS" || m["osPlatform"] == "Android" })},
		{"startswith(computerDnsName,'name') or computerDnsName eq 'John’s MacBook Pro'", 1},
		{"computerDnsName eq null", count(func(m map[string]any) bool { return m["computerDnsName"] == nil })},
		{"lastSeen lt 2026-02-01Z", count(func(m map[string]any) bool {
			s, _ := m["lastSeen"].(string)
			return s < "2026-02-01" // missing and year-1 times are older than every date
		})},
		{"machineTags/any(tag: tag eq 'WSL2')", count(func(m map[string]any) bool {
			return slices.Contains(m["machineTags"].([]any), any("WSL2"))
		})},
		{"rbacGroupId eq 3", count(func(m map[string]any) bool { return m["rbacGroupId"] == 3.0 })},
	}
	for _, tt := range tests {
		t.Run(tt.filter, func(t *testing.T) {
			rows := h.get(token, "/api/machines?$filter="+tt.filter).rows(t)
			if len(rows) != tt.want || tt.want == 0 {
				t.Fatalf("43: %d rows, want %d", len(rows), tt.want)
			}
		})
	}
}

func TestEmptyDirectory(t *testing.T) {
	h := start(t, func(c *defendersim.Config) { c.Directory.Machines, c.Directory.EdgeCases = 0, new(bool) })
	if a := h.get(h.token(), "/api/machines"); a.status != 200 || len(a.rows(t)) != 0 {
		t.Errorf("44: %d", a.status)
	}
	if rows, _ := h.walk(h.token(), "/api/machines/SoftwareVulnerabilitiesByMachine"); len(rows) != 0 {
		t.Errorf("%d rows", len(rows))
	}
	as404 := defendersim.DirectorySpec{ID: dirID, EmptyAs404: true, EdgeCases: new(bool), Apps: []defendersim.App{goodApp()}}
	if err := h.AddDirectory(as404); err != nil {
		t.Fatal(err)
	}
	if a := h.get(h.token(), "/api/machines"); a.status != 404 {
		t.Errorf("44: %d", a.status)
	}
}

var machineKeys = strings.Fields(`id mergedIntoMachineId isPotentialDuplication isExcluded exclusionReason computerDnsName firstSeen lastSeen
	osPlatform osVersion osProcessor version lastIpAddress lastExternalIpAddress agentVersion osBuild healthStatus deviceValue rbacGroupId
	rbacGroupName riskScore exposureLevel isAadJoined aadDeviceId machineTags defenderAvStatus onboardingStatus osArchitecture managedBy
	managedByStatus ipAddresses vmMetadata`)

func TestMachineRecords(t *testing.T) {
	h := start(t, nil)
	token := h.token()
	all, _ := h.walk(token, "/api/machines")
	for _, m := range all {
		for _, key := range machineKeys {
			_, present := m[key]
			if mayBeAbsent := key == "defenderAvStatus" || key == "lastSeen" || key == "onboardingStatus"; !present && !mayBeAbsent {
				t.Fatalf("45: %s lacks %s", m["id"], key)
			}
		}
		if len(m["id"].(string)) != 40 {
			t.Fatalf("45: id %v", m["id"])
		}
		if _, number := m["rbacGroupId"].(float64); !number {
			t.Fatalf("47: rbacGroupId %v", m["rbacGroupId"])
		}
	}
	one := h.get(token, "/api/machines/"+strings.ToUpper(all[3]["id"].(string)))
	m := one.json(t)
	if one.status != 200 || m["id"] != all[3]["id"] || m["@odata.context"] != h.url+"/api/$metadata#Machines/$entity" {
		t.Errorf("48: %d %s", one.status, one.body)
	}
	expect(t, h.get(token, "/api/machines/"+strings.Repeat("0", 40)), 404, "ResourceNotFound")
}

// TestMachineVariety looks for each odd record a client must survive.
func TestMachineVariety(t *testing.T) {
	h := start(t, nil)
	all, _ := h.walk(h.token(), "/api/machines")
	has := func(key string, want any) func(map[string]any) bool {
		return func(m map[string]any) bool { v, ok := m[key]; return ok && v == want }
	}
	text := func(key, part string) func(map[string]any) bool {
		return func(m map[string]any) bool { s, _ := m[key].(string); return strings.Contains(s, part) }
	}
	address := func(key string, want any) func(map[string]any) bool {
		return func(m map[string]any) bool {
			for _, a := range m["ipAddresses"].([]any) {
				if a.(map[string]any)[key] == want {
					return true
				}
			}
			return false
		}
	}
	digits := func(n int) func(map[string]any) bool {
		return func(m map[string]any) bool {
			s, _ := m["lastSeen"].(string)
			_, fraction, _ := strings.Cut(strings.TrimSuffix(s, "Z"), ".")
			return s != "" && len(fraction) == n
		}
	}
	for name, find := range map[string]func(map[string]any) bool{
		"null name": has("computerDnsName", nil), "name with parentheses": text("computerDnsName", " ("), "excluded": has("isExcluded", true),
		"discovered": has("onboardingStatus", "CanBeOnboarded"), "other platform": has("osPlatform", "Other"), "mobile": has("osPlatform", "iOS"),
		"merged": func(m map[string]any) bool { return m["mergedIntoMachineId"] != nil },
		"Linux without build": func(m map[string]any) bool {
			return m["osPlatform"] == "RedHatEnterpriseLinux" && m["osBuild"] == nil
		},
		"IPv6 only": has("lastIpAddress", "2a02:cf40::1"), "no address": func(m map[string]any) bool { return len(m["ipAddresses"].([]any)) == 0 },
		"empty address": address("ipAddress", ""), "loopback": address("ipAddress", "127.0.0.1"), "link-local": address("ipAddress", "fe80::9"),
		"numeric type": address("type", "53"), "tunnel MAC": address("macAddress", "00000000000000E0"), "null MAC": address("macAddress", nil),
		"blank tag":      func(m map[string]any) bool { return slices.Contains(m["machineTags"].([]any), any("")) },
		"joined unknown": has("isAadJoined", nil), "no VM": has("vmMetadata", nil),
		"partial VM": func(m map[string]any) bool {
			vm, ok := m["vmMetadata"].(map[string]any)
			return ok && vm["subscriptionId"] == nil
		},
		"0 digits": digits(0), "3 digits": digits(3), "6 digits": digits(6), "7 digits": digits(7), "seen 170 days ago": text("lastSeen", "2025-09-12"),
	} {
		if !slices.ContainsFunc(all, find) {
			t.Errorf("46: no record with %s", name)
		}
	}
	names := map[any]int{}
	for _, m := range all {
		names[strings.TrimSuffix(strings.ToLower(fmt.Sprint(m["computerDnsName"])), ".")]++
	}
	if names["web01.contoso.com"] < 2 {
		t.Error("46: no two ids with one name")
	}
}

// TestListPage makes pages smaller than Microsoft's, of every list that the server alone divides.
func TestListPage(t *testing.T) {
	h := start(t, nil)
	token := h.token()
	paged := func(size int) {
		if err := h.Switch(defendersim.Switches{ListPage: size}); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"/api/machines", "/api/vulnerabilities", "/api/vulnerabilities/machinesVulnerabilities"} {
		paged(0)
		whole, pages := h.walk(token, path)
		if pages != 1 {
			t.Fatalf("%s: %d pages", path, pages)
		}
		size := len(whole)/3 + 1
		paged(size)
		if rows, pages := h.walk(token, path); pages != 3 || !slices.Equal(column(rows, "id"), column(whole, "id")) {
			t.Errorf("%s: %d rows on %d pages, want %d on 3", path, len(rows), pages, len(whole))
		}
	}
	if h.Switch(defendersim.Switches{ListPage: -1}) == nil {
		t.Error("a page without room is accepted")
	}
}
