package defender

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/internal/inventory"
)

// bodyOf is a body as a consumer meets it.
func bodyOf(t testing.TB, r io.Reader) *body {
	t.Helper()
	ctx, stop := context.WithCancelCause(context.Background())
	b := newBody(ctx, stop, r, bodyLimits{idle: time.Minute, call: time.Minute, size: 1 << 30, value: 4 << 20})
	t.Cleanup(func() { _ = b.end() })
	return b
}

func readRows(t testing.TB, page []byte) ([]inventory.Row, string, int, error) {
	t.Helper()
	var rows []inventory.Row
	p := newRowPages(7, func(batch []inventory.Row) error {
		for _, r := range batch {
			r.DiskPaths, r.RegistryPaths = append([]string(nil), r.DiskPaths...), append([]string(nil), r.RegistryPaths...)
			rows = append(rows, r)
		}
		return nil
	})
	next, _, err := p.read(bodyOf(t, bytes.NewReader(page)))
	if consumed := p.relay.end(); err == nil {
		err = consumed
	}
	return rows, next, p.malformed, err
}

func readMachines(t testing.TB, page string) ([]inventory.Machine, int, error) {
	t.Helper()
	l := &listing[inventory.Machine]{scan: newScanner(), record: record[inventory.Machine]{fields: machineFields()},
		keep: func(*inventory.Machine) bool { return true }}
	_, _, err := l.read(bodyOf(t, strings.NewReader(page)))
	return l.page, l.malformed, err
}

func readVulnerabilities(t testing.TB, page string) ([]inventory.Vulnerability, int, error) {
	t.Helper()
	l := &listing[inventory.Vulnerability]{scan: newScanner(), record: record[inventory.Vulnerability]{fields: vulnerabilityFields()},
		blank: inventory.Vulnerability{Score: -1, EPSS: -1}, keep: nameVulnerability}
	_, _, err := l.read(bodyOf(t, strings.NewReader(page)))
	return l.page, l.malformed, err
}

func TestMachineIsReadWhole(t *testing.T) {
	t.Parallel()
	page := `{"@odata.context":"x","value":[{"id":"00aa","mergedIntoMachineId":"00bb","isPotentialDuplication":true,"isExcluded":true,
	"exclusionReason":"inactive","computerDnsName":"build-07","firstSeen":"2025-03-01T08:00:00.123Z","lastSeen":"2026-01-04T21:15:09.1234567Z",
	"osPlatform":"Windows11","osVersion":null,"osProcessor":"x64","version":"24H2","lastIpAddress":"10.20.30.40","lastExternalIpAddress":"203.0.113.7",
	"agentVersion":"10.8800","osBuild":26100,"healthStatus":"Active","deviceValue":"Normal","rbacGroupId":12,"rbacGroupName":"g","riskScore":"Low",
	"exposureLevel":"Medium","isAadJoined":true,"aadDeviceId":"3333","machineTags":["a","","b"],"onboardingStatus":"Onboarded","osArchitecture":"64-bit",
	"managedBy":"Intune","managedByStatus":"Success","unknownThing":{"deep":[1,{"x":"y"}]},
	"ipAddresses":[{"ipAddress":"10.20.30.40","macAddress":"02AABBCCDDEE","type":"Ethernet","operationalStatus":"Up"},{"ipAddress":"","macAddress":null,"type":53,"operationalStatus":"Down"}],
	"vmMetadata":{"vmId":"v","cloudProvider":"Azure","resourceId":"/r","subscriptionId":null}}]}`
	joined := true
	want := inventory.Machine{
		SourceID: "00aa", MergedInto: "00bb", PotentialDuplicate: true, Excluded: true, ExclusionReason: "inactive", DNSName: "build-07",
		FirstSeen: time.Date(2025, 3, 1, 8, 0, 0, 123e6, time.UTC), LastSeen: time.Date(2026, 1, 4, 21, 15, 9, 123456700, time.UTC),
		Platform: "Windows11", Version: "24H2", Build: 26100, Architecture: "64-bit", Processor: "x64", LastIP: "10.20.30.40",
		LastExternalIP: "203.0.113.7", AgentVersion: "10.8800", Health: "Active", Onboarding: "Onboarded", DeviceValue: "Normal",
		GroupID: 12, GroupName: "g", RiskScore: "Low", ExposureLevel: "Medium", AADJoined: &joined, AADDeviceID: "3333",
		Tags: []string{"a", "b"}, ManagedBy: "Intune", ManagedByStatus: "Success",
		Interfaces: []inventory.Interface{{Address: "10.20.30.40", MAC: "02AABBCCDDEE", Type: "Ethernet", Status: "Up"}, {Type: "53", Status: "Down"}},
		Cloud:      &inventory.Cloud{Provider: "Azure", ResourceID: "/r", VMID: "v"},
	}
	got, malformed, err := readMachines(t, page)
	if err != nil || malformed != 0 || len(got) != 1 {
		t.Fatalf("%d machines, %d malformed, %v", len(got), malformed, err)
	}
	if !reflect.DeepEqual(got[0], want) {
		t.Fatalf("got  %+v\nwant %+v", got[0], want)
	}
}

func TestDirtyMachinesDoNotSpoilThePage(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 500_000)
	page := `{"value":[null,7,"x",[{}],{},` +
		`{"id":5,"computerDnsName":{"a":1},"lastSeen":"soon","osBuild":"26100","rbacGroupId":"3","isAadJoined":"maybe","machineTags":"tag","ipAddresses":{"a":1},"vmMetadata":[]},` +
		`{"Id":"` + strings.Repeat("a", 129) + `","ComputerDnsName":"a\u0000b","OsBuild":1e400,"RBACGROUPID":-5,"riskScore":"` + long + `"},` +
		"{\"id\":\"bad\xff\",\"osBuild\":9223372036854775807,\"lastSeen\":\"0001-01-01T00:00:00Z\",\"version\":\"\\ud800x\"}]}"
	got, malformed, err := readMachines(t, page)
	if err != nil || malformed != 4 || len(got) != 4 {
		t.Fatalf("%d machines, %d malformed, %v", len(got), malformed, err)
	}
	if m := got[1]; m.SourceID != "" || m.DNSName != "" || !m.LastSeen.IsZero() || m.Build != 26100 || m.GroupID != 3 || m.AADJoined != nil || m.Tags != nil || m.Interfaces != nil || m.Cloud != nil {
		t.Errorf("wrong types: %+v", m)
	}
	if m := got[2]; m.SourceID != "" || m.DNSName != "a\uFFFDb" || m.Build != 0 || m.GroupID != -5 || m.RiskScore != strings.Repeat("é", 512) {
		t.Errorf("extremes: id %q name %q build %d group %d, %d bytes", m.SourceID, m.DNSName, m.Build, m.GroupID, len(m.RiskScore))
	}
	if m := got[3]; m.SourceID != "bad\uFFFD" || m.Build != 0 || !m.LastSeen.IsZero() || m.Version != "\uFFFDx" {
		t.Errorf("repairs: %+v", m)
	}
}

func TestVulnerabilityIsReadWhole(t *testing.T) {
	t.Parallel()
	page := `{"value":[{"id":"cve-2030-1","name":"cve-2030-1","description":"d","severity":"High","cvssV3":7,"cvssVector":"CVSS:3.1/AV:N","epss":0.5,
	"publicExploit":true,"exploitVerified":true,"exploitInKit":false,"exploitTypes":["Remote"],"exploitUris":["https://x"],"tags":["t"],
	"CveSupportability":"Supported","publishedOn":"2030-01-02","updatedOn":"2030-01-03T00:00:00Z","exposedMachines":3},
	{"id":"TVM-2020-0002","cvssV3":null,"cvssVector":"","updatedOn":"0001-01-01T00:00:00Z"},
	{"name":null,"severity":"Low"},{"name":"CVE-2","cvssV3":"9.8","epss":-3},{"name":"CVE-3","cvssV3":11,"epss":1.5}]}`
	got, malformed, err := readVulnerabilities(t, page)
	if err != nil || malformed != 1 || len(got) != 4 {
		t.Fatalf("%d, %d malformed, %v", len(got), malformed, err)
	}
	want := inventory.Vulnerability{Name: "CVE-2030-1", Description: "d", SeverityWord: "High", Score: 7, Vector: "CVSS:3.1/AV:N", EPSS: 0.5,
		PublicExploit: true, ExploitVerified: true, ExploitTypes: []string{"Remote"}, ExploitURIs: []string{"https://x"}, Tags: []string{"t"},
		Supportability: "Supported", PublishedAt: time.Date(2030, 1, 2, 0, 0, 0, 0, time.UTC), UpdatedAt: time.Date(2030, 1, 3, 0, 0, 0, 0, time.UTC)}
	if !reflect.DeepEqual(got[0], want) {
		t.Errorf("got  %+v\nwant %+v", got[0], want)
	}
	if v := got[1]; v.Name != "TVM-2020-0002" || v.Score != -1 || v.EPSS != -1 || !v.UpdatedAt.IsZero() {
		t.Errorf("sparse: %+v", v)
	}
	if got[2].Score != 9.8 || got[2].EPSS != -1 || got[3].Score != -1 || got[3].EPSS != -1 {
		t.Errorf("numbers: %+v %+v", got[2], got[3])
	}
}

func TestPagesThatAreNoListFail(t *testing.T) {
	t.Parallel()
	for name, page := range map[string]string{
		"empty": "", "blank": "  ", "html": "<html>", "null": "null", "array": `[]`, "no value": `{"error":{}}`, "null value": `{"value":null}`,
		"value is object": `{"value":{}}`, "cut in list": `{"value":[{"id":"1"}`, "cut before end": `{"value":[]`, "cut in text": `{"value":[{"id":"1`,
		"trailing document": `{"value":[]}{}`, "trailing noise": `{"value":[]} x`, "odd link": `{"value":[],"@odata.nextLink":5}`,
		"object link": `{"value":[],"@odata.nextLink":{"a":1}}`, "huge token": `{"value":[{"x":"` + strings.Repeat("a", 9<<20) + `"}]}`,
		"deep": `{"value":[{"x":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}]}`,
	} {
		if _, _, err := readMachines(t, page); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestNextLinkIsFoundAnywhere(t *testing.T) {
	t.Parallel()
	for _, page := range []string{
		`{"@odata.nextLink":"n","value":[]}`, `{"value":[],"@odata.nextLink":"n"} `, `{"VALUE":[],"@Odata.NextLink":"n","x":{"value":[1]}}`,
	} {
		if _, next, _, err := readRows(t, []byte(page)); err != nil || next != "n" {
			t.Errorf("%s: %q, %v", page, next, err)
		}
	}
	for _, page := range []string{`{"value":[]}`, `{"value":[],"@odata.nextLink":null}`, `{"value":[],"@odata.nextLink":""}`} {
		if _, next, _, err := readRows(t, []byte(page)); err != nil || next != "" {
			t.Errorf("%s: %q, %v", page, next, err)
		}
	}
}

func TestTimesAreReadLeniently(t *testing.T) {
	t.Parallel()
	at := func(ns int) time.Time { return time.Date(2025, 10, 6, 10, 43, 58, ns, time.UTC) }
	cases := map[string]time.Time{
		"2025-10-06T10:43:58Z": at(0), "2025-10-06 10:43:58": at(0), "2025-10-06T10:43:58": at(0), "2025-10-06t10:43:58z": at(0),
		"2025-10-06T10:43:58.1Z": at(100_000_000), "2025-10-06T10:43:58.123Z": at(123_000_000), "2025-10-06 10:43:58.1234567": at(123_456_700),
		"2025-10-06T10:43:58.123456789123Z": at(123_456_789), "2025-10-06T12:43:58+02:00": at(0), "2025-10-06T05:13:58-05:30": at(0),
		"2025-10-06": time.Date(2025, 10, 6, 0, 0, 0, 0, time.UTC), "2024-02-29T00:00:00Z": time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC),
		"0001-01-01T00:00:00Z": {}, "1969-12-31T23:59:59Z": {}, "2025-02-30T00:00:00Z": {}, "2025-13-01T00:00:00Z": {}, "2025-10-06T24:00:00Z": {},
		"2025-10-06T10:43Z": {}, "2025-10-06T10:43:58.Z": {}, "2025-10-06T10:43:58X": {}, "2025-10-06T10:43:58+0200": {}, "soon": {}, "": {},
		"2025-10-06T10:43:58.1234567Z and more text than any time has": {}, "1970-01-01T00:30:00+01:00": {}, "２０２５-10-06": {},
	}
	for text, want := range cases {
		if got := parseTime([]byte(text)); !got.Equal(want) {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func FuzzAnyBytesArePages(f *testing.F) {
	f.Add([]byte(`{"value":[{"deviceId":"1","diskPaths":["a"],"ipAddresses":[{}],"vmMetadata":{}}],"@odata.nextLink":"x"}`))
	f.Add([]byte(`{"value":[{"DeviceId":1e9,"cvssScore":"7","lastSeen":"2025-10-06 10:43:58.1","diskPaths":{"a":[null]}}]}`))
	f.Add([]byte("{\"value\":[{\"id\":\"\xff\\ud800\\u0000\"}]}"))
	f.Fuzz(func(t *testing.T, page []byte) {
		rows, _, _, err := readRows(t, page)
		if err == nil && json.Valid(page) {
			var loose struct{ Value []json.RawMessage }
			if json.Unmarshal(page, &loose) == nil && len(rows) > len(loose.Value) && bytes.Count(bytes.ToLower(page), []byte(`"value"`)) == 1 {
				t.Fatalf("%d rows from %d elements: %s", len(rows), len(loose.Value), page)
			}
		}
		_, _, _ = readMachines(t, string(page))
		_, _, _ = readVulnerabilities(t, string(page))
		_, _, _ = readLines(t, string(page), 5)
	})
}
