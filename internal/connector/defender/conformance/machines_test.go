package conformance_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

var machineStatements = []statement{
	{37, "pages of machines", strict, checkMachinePages},
	{38, "top suppresses nextLink", strict, checkMachineTop},
	{39, "top above the maximum", optional, checkMachineTopMaximum},
	{40, "skip beyond the end", strict, checkSkipBeyondEnd},
	{41, "bad top and skip", optional, checkBadPaging},
	{42, "machines sorted by id", strict, checkMachineOrder},
	{43, "filters of machines", strict, checkMachineFilters},
	{44, "no machines", strict, checkNoMachines},
	{45, "members of a machine", strict, checkMachineMembers},
	{46, "odd machines", strict, checkOddMachines},
	{47, "rbacGroupId is a number", strict, checkGroupNumber},
	{48, "one machine", strict, checkOneMachine},
	{49, "pages shift", optional, checkShiftingPages},
}

const machinesPath = "/api/machines"

// large is a directory of more than a page of machines.
func large(t *testing.T, d *double) account {
	t.Helper()
	return d.fresh(t, object{"machines": 10050, "findings_per_machine": 0, "edge_cases": false}, nil)
}

func checkMachinePages(t *testing.T, d *double) {
	token := large(t, d).token(t)
	first := d.get(t, token, machinesPath).page(t)
	if len(first.Value) != 10000 || !strings.HasSuffix(first.Next, machinesPath+"?$skip=10000") {
		t.Fatalf("%d rows, next %q", len(first.Value), first.Next)
	}
	rest := d.get(t, token, first.Next).page(t)
	if len(rest.Value) != 50 || rest.Next != "" {
		t.Errorf("%d rows on the last page, next %q", len(rest.Value), rest.Next)
	}
	if slices.Contains(texts(first.Value, "id"), texts(rest.Value, "id")[0]) {
		t.Error("the second page repeats the first")
	}
	filtered := d.get(t, token, machinesPath+"?$filter=healthStatus eq 'Active'").page(t)
	if !strings.Contains(filtered.Next, "$filter=") || !strings.Contains(filtered.Next, "$skip=10000") {
		t.Errorf("the next page of a filtered list: %q", filtered.Next)
	}
}

func checkMachineTop(t *testing.T, d *double) {
	token := large(t, d).token(t)
	for path, rows := range map[string]int{"?$top=100": 100, "?$top=10000": 10000, "?$top=3&$skip=500": 3, "?$top=100&$skip=10000": 50} {
		if p := d.get(t, token, machinesPath+path).page(t); len(p.Value) != rows || p.Next != "" {
			t.Errorf("%s: %d rows, next %q", path, len(p.Value), p.Next)
		}
	}
	whole, _ := d.walk(t, token, machinesPath)
	if part := d.get(t, token, machinesPath+"?$top=3&$skip=500").page(t); !slices.Equal(texts(part.Value, "id"), texts(whole, "id")[500:503]) {
		t.Error("$skip does not lead to the same rows")
	}
}

func checkMachineTopMaximum(t *testing.T, d *double) {
	token := d.fresh(t, nil, nil).token(t)
	d.get(t, token, machinesPath+"?$top=10001").want(t, http.StatusBadRequest, "ODataError")
	d.turn(t, object{"clamp_top": true})
	d.get(t, token, machinesPath+"?$top=10001").want(t, http.StatusOK, "")
}

func checkSkipBeyondEnd(t *testing.T, d *double) {
	token := d.fresh(t, nil, nil).token(t)
	for _, path := range []string{"?$skip=20000", "?$top=10&$skip=20000"} {
		if p := d.get(t, token, machinesPath+path).page(t); p.Value == nil || len(p.Value) != 0 || p.Next != "" {
			t.Errorf("%s: %v", path, p)
		}
	}
}

func checkBadPaging(t *testing.T, d *double) {
	token := d.fresh(t, nil, nil).token(t)
	for _, bad := range []string{"$skip=-1", "$skip=x", "$skip=1e%2B05", "$top=-1", "$top=1.5", "$top="} {
		d.get(t, token, machinesPath+"?"+bad).want(t, http.StatusBadRequest, "ODataError")
	}
}

func checkMachineOrder(t *testing.T, d *double) {
	a := d.fresh(t, nil, nil)
	if d.control != "" {
		a.alter(t, object{"op": "add_machines", "count": 5})
	}
	rows, _ := d.walk(t, a.token(t), machinesPath)
	if ids := texts(rows, "id"); !slices.IsSorted(ids) || len(ids) < 2 {
		t.Errorf("%d machines, or not sorted by id", len(ids))
	}
}

// filterable are the properties that the page "List machines API" names.
var filterable = strings.Fields(`computerDnsName id version deviceValue aadDeviceId lastSeen exposureLevel onboardingStatus lastIpAddress healthStatus
	osPlatform riskScore rbacGroupId`)

func checkMachineFilters(t *testing.T, d *double) {
	token := d.fresh(t, nil, nil).token(t)
	rows, _ := d.walk(t, token, machinesPath)
	for _, name := range filterable {
		i := slices.IndexFunc(rows, func(o object) bool { return o[name] != nil && o[name] != "" })
		literal := "'" + texts(rows[i:i+1], name)[0] + "'"
		if name == "lastSeen" || name == "rbacGroupId" {
			literal = map[string]string{"lastSeen": "2020-01-01Z", "rbacGroupId": "3"}[name]
		}
		eq, ne := d.get(t, token, machinesPath+"?$filter="+name+" eq "+literal).page(t), d.get(t, token, machinesPath+"?$filter="+name+" ne "+literal).page(t)
		if len(eq.Value)+len(ne.Value) != len(rows) || len(ne.Value) == 0 || (len(eq.Value) == 0) != (name == "lastSeen") {
			t.Errorf("%s %s: %d rows are equal, %d are not, of %d", name, literal, len(eq.Value), len(ne.Value), len(rows))
		}
	}
	id := rows[7]["id"].(string)
	active := is("healthStatus", "Active")
	tests := map[string]int{
		"id gt '" + id + "'": len(rows) - 8, "id ge '" + id + "'": len(rows) - 7, "id lt '" + id + "'": 7,
		"lastSeen gt 2018-08-01Z":                                     count(rows, func(o object) bool { s, _ := o["lastSeen"].(string); return s > "2018" }),
		"healthStatus eq 'Active' and osPlatform eq 'Windows10'":      count(rows, func(o object) bool { return active(o) && o["osPlatform"] == "Windows10" }),
		"healthStatus eq 'Inactive' or id eq '" + id + "'":            count(rows, func(o object) bool { return o["healthStatus"] == "Inactive" || o["id"] == id }),
		"not (healthStatus eq 'Active')":                              len(rows) - count(rows, active),
		"machineTags/any(tag: tag eq 'blue')":                         count(rows, tagged("blue")),
		"startswith(computerDnsName,'edge-') and riskScore ne 'Dire'": count(rows, func(o object) bool { s, _ := o["computerDnsName"].(string); return strings.HasPrefix(s, "edge-") }),
	}
	for filter, want := range tests {
		if got := d.get(t, token, machinesPath+"?$filter="+filter).page(t); len(got.Value) != want || want == 0 {
			t.Errorf("%s: %d rows, want %d", filter, len(got.Value), want)
		}
	}
	for _, bad := range []string{"agentVersion eq '1'", "isExcluded eq true", "firstSeen gt 2018-08-01Z", "id like 'a'", "id eq", "healthStatus eq Active"} {
		d.get(t, token, machinesPath+"?$filter="+bad).want(t, http.StatusBadRequest, "ODataError")
	}
}

func tagged(tag string) func(object) bool {
	return func(o object) bool { tags, _ := o["machineTags"].([]any); return slices.Contains(tags, any(tag)) }
}

func checkNoMachines(t *testing.T, d *double) {
	empty := object{"machines": 0, "edge_cases": false}
	token := d.fresh(t, empty, nil).token(t)
	if rows := d.get(t, token, machinesPath).rows(t); len(rows) != 0 {
		t.Errorf("%d machines", len(rows))
	}
	empty["empty_as_404"] = true
	d.get(t, d.fresh(t, empty, nil).token(t), machinesPath).want(t, http.StatusNotFound, "ResourceNotFound")
}

// machineMembers are all that records and recordings show; those in machineOptional are absent from some of the odd machines.
var machineMembers = strings.Fields(`id mergedIntoMachineId isPotentialDuplication isExcluded exclusionReason computerDnsName firstSeen lastSeen
	osPlatform osVersion osProcessor version lastIpAddress lastExternalIpAddress agentVersion osBuild healthStatus deviceValue rbacGroupId
	rbacGroupName riskScore exposureLevel isAadJoined aadDeviceId machineTags defenderAvStatus onboardingStatus osArchitecture managedBy
	managedByStatus ipAddresses vmMetadata`)

var machineOptional = []string{"defenderAvStatus", "lastSeen", "onboardingStatus"}

// machineTold are there, and not null, of every machine that is not made to be odd.
var machineTold = []string{"lastSeen", "onboardingStatus"}

// machineNullable may be null.
var machineNullable = strings.Fields(`mergedIntoMachineId exclusionReason computerDnsName lastSeen osPlatform osVersion osProcessor version lastIpAddress
	lastExternalIpAddress agentVersion osBuild deviceValue rbacGroupName riskScore exposureLevel isAadJoined aadDeviceId defenderAvStatus
	onboardingStatus osArchitecture managedBy managedByStatus ipAddresses vmMetadata`)

func checkMachineMembers(t *testing.T, d *double) {
	rows, _ := d.walk(t, d.fresh(t, nil, nil).token(t), machinesPath)
	mustHaveMembers(t, rows)
	if d.control == "" {
		return // nobody knows which of them are odd
	}
	rows, _ = d.walk(t, d.fresh(t, object{"edge_cases": false}, nil).token(t), machinesPath)
	mustHaveMembers(t, rows)
	for _, m := range rows {
		for _, name := range machineTold {
			if text, _ := m[name].(string); text == "" {
				t.Fatalf("machine %v does not tell its %s: %v", m["id"], name, m[name])
			}
		}
	}
}

func mustHaveMembers(t *testing.T, rows []object) {
	t.Helper()
	for _, m := range rows {
		for _, name := range machineMembers {
			value, there := m[name]
			if !there && !slices.Contains(machineOptional, name) {
				t.Fatalf("machine %v lacks %s", m["id"], name)
			}
			if there && value == nil && !slices.Contains(machineNullable, name) {
				t.Fatalf("machine %v: %s is null", m["id"], name)
			}
		}
		for name := range m {
			if !slices.Contains(machineMembers, name) {
				t.Fatalf("machine %v has %s", m["id"], name)
			}
		}
		for _, v := range m["ipAddresses"].([]any) {
			if address := v.(object); len(address) != 4 {
				t.Fatalf("machine %v: address %v", m["id"], address)
			}
		}
		if _, number := m["osBuild"].(float64); !number && m["osBuild"] != nil {
			t.Fatalf("machine %v: osBuild %v", m["id"], m["osBuild"])
		}
	}
}

func checkOddMachines(t *testing.T, d *double) {
	d.needControl(t)
	rows, _ := d.walk(t, d.fresh(t, nil, nil).token(t), machinesPath)
	address := func(name string, test func(string) bool) func(object) bool {
		return func(o object) bool {
			list, _ := o["ipAddresses"].([]any)
			return slices.ContainsFunc(list, func(v any) bool { text, ok := v.(object)[name].(string); return ok && test(text) })
		}
	}
	text := func(want string) func(string) bool { return func(s string) bool { return s == want } }
	digits := func(n int) func(object) bool {
		return func(o object) bool {
			s, _ := o["lastSeen"].(string)
			_, fraction, _ := strings.Cut(strings.TrimSuffix(s, "Z"), ".")
			return s != "" && len(fraction) == n
		}
	}
	variety(t, rows, map[string]func(object) bool{
		"no name": is("computerDnsName", nil), "blanks and parentheses": holds("computerDnsName", "iPhone (2)"), "merged": holds("mergedIntoMachineId", "0"),
		"excluded": is("isExcluded", true), "CanBeOnboarded": is("onboardingStatus", "CanBeOnboarded"), "Other": is("osPlatform", "Other"),
		"Linux without build": func(o object) bool { return o["osPlatform"] == "Ubuntu" && o["osBuild"] == nil }, "mobile": is("osPlatform", "iOS"),
		"IPv6 only": onlyIPv6, "no addresses": func(o object) bool { list, ok := o["ipAddresses"].([]any); return ok && len(list) == 0 },
		"empty address": address("ipAddress", text("")), "loopback": address("ipAddress", text("127.0.0.1")),
		"link-local":     address("ipAddress", func(s string) bool { return strings.HasPrefix(s, "fe80:") || strings.HasPrefix(s, "169.254.") }),
		"type as number": address("type", text("53")), "MAC of 16 digits": address("macAddress", func(s string) bool { return len(s) == 16 }),
		"no MAC": func(o object) bool {
			list, _ := o["ipAddresses"].([]any)
			return slices.ContainsFunc(list, func(v any) bool { mac, ok := v.(object)["macAddress"]; return ok && mac == nil })
		},
		"empty tag": tagged(""), "join unknown": is("isAadJoined", nil), "no VM": is("vmMetadata", nil),
		"VM in part": func(o object) bool { vm, ok := o["vmMetadata"].(object); return ok && vm["subscriptionId"] == nil },
		"0 digits":   digits(0), "3 digits": digits(3), "6 digits": digits(6), "7 digits": digits(7),
		"seen 170 days ago": holds("lastSeen", d.now(t).AddDate(0, 0, -170).UTC().Format("2006-01-02")),
	})
	names := texts(rows, "computerDnsName")
	for i, name := range names {
		names[i] = strings.TrimSuffix(strings.ToLower(name), ".")
	}
	slices.Sort(names)
	if len(slices.Compact(slices.Clone(names))) == len(names) {
		t.Error("no two machines share a name")
	}
}

func onlyIPv6(o object) bool {
	list, _ := o["ipAddresses"].([]any)
	return len(list) > 0 && !slices.ContainsFunc(list, func(v any) bool {
		ip, _ := v.(object)["ipAddress"].(string)
		return !strings.Contains(ip, ":")
	})
}

func checkGroupNumber(t *testing.T, d *double) {
	rows, _ := d.walk(t, d.fresh(t, nil, nil).token(t), machinesPath)
	if n := count(rows, func(o object) bool { _, number := o["rbacGroupId"].(float64); return number }); n != len(rows) {
		t.Errorf("%d of %d", n, len(rows))
	}
	variety(t, rows, map[string]func(object) bool{"no group": is("rbacGroupId", 0.0), "no group name": is("rbacGroupName", nil)})
}

func checkOneMachine(t *testing.T, d *double) {
	token := d.fresh(t, nil, nil).token(t)
	row := d.get(t, token, machinesPath+"?$top=1&$skip=20").rows(t)[0]
	res := d.get(t, token, machinesPath+"/"+row["id"].(string)).want(t, http.StatusOK, "")
	one := res.object(t)
	context, _ := one["@odata.context"].(string)
	delete(one, "@odata.context")
	if !strings.HasSuffix(context, "/api/$metadata#Machines/$entity") || !same(t, one, row) {
		t.Errorf("context %q, or another record than in the list", context)
	}
	d.get(t, token, machinesPath+"/"+strings.Repeat("0", 40)).want(t, http.StatusNotFound, "ResourceNotFound")
}

func checkShiftingPages(t *testing.T, d *double) {
	a := d.fresh(t, object{"machines": 20100, "findings_per_machine": 0, "edge_cases": false}, nil)
	token := a.token(t)
	whole, _ := d.walk(t, token, machinesPath)
	d.turn(t, object{"mutate_pages": true})
	shifted, _ := d.walk(t, token, machinesPath)
	ids := texts(shifted, "id")
	slices.Sort(ids)
	distinct := len(slices.Compact(slices.Clone(ids)))
	if missed, repeated := len(whole)-distinct, len(ids)-distinct; missed == 0 || repeated == 0 {
		t.Errorf("%d machines are missed, %d repeated", missed, repeated)
	}
}
